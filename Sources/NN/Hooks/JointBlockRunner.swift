import Tensor

/// A pass on its way through the blocks. Several go together: tokens of all of them share the products of a block, so that its
/// weights are read once, and attend apart. Each has the bits it has alone.
public struct RunningPass {
  public var streams: [Stream]
  /// The processors, in this pass.
  public let hooks: HookRun?
  /// Tells passes of a step apart, for what is remembered from step to step.
  public let branch: Pass.Branch
  /// Blocks that it passes over.
  public let skipped: Set<BlockID>

  public init(
    _ streams: [Stream], hooks: HookRun?, branch: Pass.Branch = .conditional, skipped: Set<BlockID> = []
  ) {
    (self.streams, self.hooks, self.branch, self.skipped) = (streams, hooks, branch, skipped)
  }
}

/// What is done around blocks.
public struct BlockSupport: Sendable {
  /// Has their weights in memory in time.
  public var residency: (any BlockResidency)?
  /// Does without blocks whose output hardly changes.
  public var cache: BlockCache?

  public init(residency: (any BlockResidency)? = nil, cache: BlockCache? = nil) {
    (self.residency, self.cache) = (residency, cache)
  }
}

/// Runs blocks one after the other over all streams. In a cancelled task it stops before the next one: what comes of that
/// pass means nothing, and whoever makes passes throws `CancellationError` then.
///
/// - Parameter looksOnly: whether the run ends with the last block that a processor wants anything of, for passes whose
///   output nobody needs
/// - Returns: whether all blocks ran
@discardableResult
public func runJointBlocks(
  _ blocks: some Sequence<(any JointBlock, BlockID)>, _ streams: inout [Stream], hooks: HookRun?,
  looksOnly: Bool = false, support: BlockSupport = .init()
) -> Bool {
  let blocks = Array(blocks)
  for (index, (block, id)) in blocks.enumerated() {
    if Task.isCancelled { return false }
    support.residency?.willRun(id, before: blocks[(index + 1)...].map(\.1))
    runJointBlock(block, id, &streams, hooks: hooks)
    support.residency?.didRun(id)
    if looksOnly, let hooks, hooks.isDone(after: id) { return false }
  }
  return true
}

/// Runs blocks one after the other over several passes, each through all blocks but those it passes over, and those that
/// the cache knows the outcome of. In a cancelled task it stops before the next block.
public func runJointBlocks(
  _ blocks: some Sequence<(any JointBlock, BlockID)>, _ passes: inout [RunningPass], support: BlockSupport = .init()
) {
  let blocks = Array(blocks)
  var routes = passes.map { pass in
    BlockRoute(pass, blocks.map(\.1).filter { !pass.skipped.contains($0) }, support.cache)
  }
  for (block, id) in blocks {
    let running = routes.indices.filter { routes[$0].ahead.first == id }
    if running.isEmpty { continue }
    if Task.isCancelled { return }
    // Taken out, so that the streams are not copied.
    var together = running.map { index in
      defer { passes[index].streams = [] }
      return passes[index]
    }
    support.residency?.willRun(id, before: BlockRoute.coming(routes, after: id))
    runJointBlock(block, id, &together)
    support.residency?.didRun(id)
    for (index, pass) in zip(running, together) {
      passes[index].streams = pass.streams
      routes[index].didRun(id, &passes[index].streams, support.cache)
    }
  }
  for index in routes.indices { routes[index].finish(&passes[index].streams, support.cache) }
}

/// Runs one block over all streams that travel through it: project, rotate, attend, update; with `hooks`, processors
/// are called at every site they asked for. The arithmetic of native streams is the same with and without.
public func runJointBlock(_ block: any JointBlock, _ id: BlockID, _ streams: inout [Stream], hooks: HookRun?) {
  var passes = [RunningPass(streams, hooks: hooks)]
  streams = []
  runJointBlock(block, id, &passes)
  streams = passes[0].streams
}

/// Runs one block over the streams of all passes.
func runJointBlock(_ block: any JointBlock, _ id: BlockID, _ passes: inout [RunningPass]) {
  let entered = passes.map { $0.hooks?.enter(id) }
  var riding: [Riding] = []
  for (number, pass) in passes.enumerated() {
    let hooks = entered[number]
    for index in pass.streams.indices where pass.streams[index].families?.contains(id.family) ?? true {
      let tap = Tap(run: pass.hooks, hooks: hooks, block: id, stream: pass.streams[index].id)
      passes[number].streams[index].tokens = tap(.residualInput, pass.streams[index].tokens)
      riding.append(Riding(stream: passes[number].streams[index], place: index, pass: number, tap: tap))
    }
  }
  // Tokens that go through the same weights go together. A product's row does not depend on the others.
  let together = grouped(riding.indices) { block.half(for: riding[$0].stream.processedAs) }
  var lanes = [Lane?](repeating: nil, count: riding.count)
  let updates = together.map { half, slots in
    let opened = open(block.halves[half], slots.map { riding[$0] }, id)
    for (slot, lane) in zip(slots, opened.lanes) { lanes[slot] = lane }
    return (slots: slots, update: opened.update)
  }
  var ready = lanes.compactMap { $0 }
  for (pass, slots) in grouped(riding.indices, by: { riding[$0].pass }) {
    var own = slots.map { ready[$0] }
    attend(&own, id, block, passes[pass].hooks, entered[pass])
    review(&own, id, slots.map { riding[$0].tap }, passes[pass].hooks, entered[pass])
    for (slot, lane) in zip(slots, own) { ready[slot] = lane }
  }
  for (slots, update) in updates {
    guard let updated = update(slots.map { ready[$0].output }) else { continue }
    for (slot, tokens) in zip(slots, updated) {
      let lane = riding[slot]
      passes[lane.pass].streams[lane.place].tokens = lane.tap(.residualOutput, tokens)
    }
  }
  for (pass, hooks) in zip(passes, entered) {
    guard let run = pass.hooks, let hooks, !hooks.readOuts.isEmpty else { continue }
    run.readOut(pass.streams[.image].tokens, id, hooks.readOuts)
  }
}

/// A stream in a block.
private struct Riding {
  let stream: Stream
  /// Its place among the pass's streams, and the pass.
  let place, pass: Int
  let tap: Tap
}

/// A stream between the two halves of a block.
private struct Lane {
  let id: StreamID
  let reads: Set<StreamID>
  let query, key, value: Tensor
  let rotatedQuery, rotatedKey: Tensor
  let rotary: RotaryTable?
  let keyMask, ownBias: Tensor?
  let projection: Linear?
  /// What gave its output; nil for a stream that reads nobody.
  var call: AttentionCall?
  var output: Tensor

  init<Saved>(_ stream: Stream, _ projection: Projection<Saved>, _ outputProjection: Linear?, _ tap: Tap) {
    id = stream.id
    reads = stream.reads
    (rotary, keyMask, ownBias) = (stream.rotary, stream.keyMask, stream.ownBias)
    self.projection = outputProjection
    let query = projection.asks ? tap(.query, projection.query) : projection.query
    let key = projection.isRead ? tap(.key, projection.key) : projection.key
    value = projection.isRead ? tap(.value, projection.value) : projection.value
    rotatedQuery = projection.asks ? rotary.map { tap(.rotatedQuery, $0.rotate(query)) } ?? query : query
    rotatedKey = projection.isRead ? rotary.map { tap(.rotatedKey, $0.rotate(key)) } ?? key : key
    self.query = query
    self.key = key
    output = projection.asks ? value : query
  }

  var asks: Bool { query.shape[2] > 0 }
  var isRead: Bool { key.shape[2] > 0 }
}

/// Projects the streams of one half. What the half saves for its update stays inside of the function returned, so that
/// nobody else needs to know its type.
private func open<Half: JointBlockHalf>(
  _ half: Half, _ riding: [Riding], _ id: BlockID
) -> (lanes: [Lane], update: ([Tensor]) -> [Tensor]?) {
  let projections = half.project(
    riding.map { lane in
      HalfInput(
        tokens: lane.stream.tokens, conditioning: lane.tap(.conditioning, lane.stream.conditioning),
        processedAs: lane.stream.processedAs, tap: lane.tap)
    })
  guard projections.count == riding.count else {
    tensorFailure("\(Half.self).project in block \(id): \(projections.count) projections of \(riding.count) streams")
  }
  for (projection, lane) in zip(projections, riding) { check(projection, Half.self, lane.stream, id) }
  let update = { (outputs: [Tensor]) -> [Tensor]? in
    let inputs = riding.indices.map { index in
      UpdateInput(
        tokens: riding[index].stream.tokens, attention: outputs[index], saved: projections[index].saved,
        processedAs: riding[index].stream.processedAs, tap: riding[index].tap)
    }
    guard let updated = half.update(inputs) else { return nil }
    let expected = riding.map(\.stream.tokens.shape)
    guard updated.map(\.shape) == expected else {
      tensorFailure("\(Half.self).update in block \(id): shapes \(updated.map(\.shape)), expected \(expected)")
    }
    return updated
  }
  return (zip(riding, projections).map { Lane($0.stream, $1, half.attentionProjection, $0.tap) }, update)
}

private func check<Half, Saved>(_ projection: Projection<Saved>, _ half: Half.Type, _ stream: Stream, _ id: BlockID) {
  let query = projection.query.shape, key = projection.key.shape, tokens = stream.tokens.shape
  func fits(_ shape: [Int], isThere: Bool) -> Bool {
    shape.count == 4 && shape[0] == tokens[0] && shape[2] == (isThere ? tokens[1] : 0)
  }
  let fits =
    fits(query, isThere: projection.asks) && fits(key, isThere: projection.isRead)
    && [query[1], query[3]] == [key[1], key[3]] && projection.value.shape.dropLast() == key.dropLast()
  guard fits else {
    tensorFailure(
      "\(half).project in block \(id): query \(query), key \(projection.key.shape) and value "
        + "\(projection.value.shape) of stream '\(stream.id)' with tokens \(tokens), expected "
        + "[\(tokens[0]), heads, \(tokens[1]), headDim]")
  }
}

/// Fills in every lane's output: lanes that read the same streams share one attention call; one that reads nobody
/// keeps its values (the paper's "neither" ablation).
private func attend(
  _ lanes: inout [Lane], _ id: BlockID, _ block: any JointBlock, _ run: HookRun?, _ hooks: BlockHooks?
) {
  for (reads, group) in grouped(lanes.indices.filter { lanes[$0].asks }, by: { lanes[$0].reads }) {
    var call = AttentionCall(
      block: id,
      queries: group.map { .init(stream: lanes[$0].id, tensor: lanes[$0].rotatedQuery, rotary: lanes[$0].rotary) },
      sources: lanes.filter { reads.contains($0.id) && $0.isRead }.map {
        .init(stream: $0.id, key: $0.rotatedKey, value: $0.value, rotary: $0.rotary)
      },
      scale: block.attentionScale, precision: block.attentionPrecision, isCausal: block.isCausal)
    if call.sources.isEmpty { continue }
    for query in group where reads.contains(lanes[query].id) {
      guard let bias = lanes[query].ownBias else { continue }
      call.addBias(bias, query: lanes[query].id, key: lanes[query].id)
    }
    for source in lanes where reads.contains(source.id) {
      guard let mask = source.keyMask else { continue }
      for query in group { call.hide(mask, query: lanes[query].id, key: source.id) }
    }
    var computed = call
    let outputs =
      run?.attend(call, hooks?.replacements[.joint]?[...] ?? [], computed: &computed) ?? call.compute()
    run?.log?.attended(call, computed, outputs, hooks?.replacements[.joint])
    for (lane, output) in zip(group, outputs) { (lanes[lane].output, lanes[lane].call) = (output, computed) }
  }
}

extension Projection {
  fileprivate var asks: Bool { query.rank == 4 && query.shape[2] > 0 }
  fileprivate var isRead: Bool { key.rank == 4 && key.shape[2] > 0 }
}

extension AttentionCall {
  /// - Parameter mask: of the keys that may be seen, `[batch or 1, tokens]`
  fileprivate mutating func hide(_ mask: Tensor, query: StreamID, key: StreamID) {
    show(mask.reshaped(mask.shape[0], 1, 1, mask.shape[1]), query: query, key: key)
  }
}

/// The phases around the attention outputs: every `edit`, the `attentionOutput` sites, every `observe`.
private func review(_ lanes: inout [Lane], _ id: BlockID, _ taps: [Tap], _ run: HookRun?, _ hooks: BlockHooks?) {
  guard let run, let hooks else { return }
  var view = hooks.needsView ? BlockView(id, lanes) : nil
  if var edited = view {
    run.edit(&edited, hooks.edits)
    run.log?.edited(id, lanes.map(\.output), edited, hooks.edits)
    view = edited
  }
  for slot in lanes.indices {
    lanes[slot].output = taps[slot](.attentionOutput, view?.streams[slot].output ?? lanes[slot].output)
    view?.streams[slot].output = lanes[slot].output
  }
  if let view { run.observe(view, hooks.observers) }
}

extension BlockView {
  fileprivate init(_ block: BlockID, _ lanes: [Lane]) {
    self.init(
      block,
      streams: lanes.map {
        StreamView(
          id: $0.id, reads: $0.reads, query: $0.query, key: $0.key, value: $0.value, rotatedQuery: $0.rotatedQuery,
          rotatedKey: $0.rotatedKey, output: $0.output, rotary: $0.rotary, projection: $0.projection, call: $0.call)
      })
  }
}

/// Groups in the order of their first member.
func grouped<Member, Key: Hashable>(
  _ members: some Sequence<Member>, by key: (Member) -> Key
) -> [(key: Key, members: [Member])] {
  var groups: [(key: Key, members: [Member])] = [], places: [Key: Int] = [:]
  for member in members {
    let itsKey = key(member)
    if let place = places[itsKey] {
      groups[place].members.append(member)
    } else {
      places[itsKey] = groups.count
      groups.append((itsKey, [member]))
    }
  }
  return groups
}
