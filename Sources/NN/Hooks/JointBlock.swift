import Tensor

/// One modality's half of a block, cut at the attention call. Streams that share its weights come together, so that
/// a weight is read once.
public protocol JointBlockHalf: Sendable {
  /// From the residual stream to queries, keys and values: adaptive norm, projections, QK-norm.
  ///
  /// - Returns: one projection per input
  func project(_ inputs: [HalfInput]) -> [Projection]

  /// From the attention output back to the residual stream: output projection, gate, MLP.
  ///
  /// - Returns: new tokens per input, `[batch, tokens, dim]`; nil when this half ends at the attention (the text
  ///   half of SD3's last block)
  func update(_ inputs: [UpdateInput]) -> [Tensor]?
}

/// What a stream brings to the first half of a block.
public struct HalfInput {
  /// `[batch, tokens, dim]`
  public let tokens: Tensor
  /// `[batch, dim]`
  public let conditioning: Tensor
  /// The native stream whose weights are meant, for halves that serve several.
  public let weights: StreamID
  public let tap: Tap
}

/// Queries, keys and values of one stream, each `[batch, heads, tokens, headDim]`, after QK-norm, before rotation.
public struct Projection {
  public var query, key, value: Tensor
  /// What `update` needs from here: modulations, a parallel MLP branch.
  public var saved: [Tensor]

  public init(query: Tensor, key: Tensor, value: Tensor, saved: [Tensor] = []) {
    self.query = query
    self.key = key
    self.value = value
    self.saved = saved
  }
}

/// What a stream brings to the second half of a block.
public struct UpdateInput {
  /// The residual stream as it entered, `[batch, tokens, dim]`
  public let tokens: Tensor
  /// `[batch, heads, tokens, headDim]`
  public let attention: Tensor
  public let saved: [Tensor]
  public let weights: StreamID
  public let tap: Tap

  /// The attention output with its heads side by side, `[batch, tokens, heads * headDim]`.
  public var mergedAttention: Tensor { attention.mergedHeads }
}

/// A block in which several streams attend together.
public protocol JointBlock: Sendable {
  var halves: [any JointBlockHalf] { get }
  /// Index into `halves` for tokens processed with a native stream's weights.
  func half(for weights: StreamID) -> Int
  /// How attention multiplies: `.bf16` where the weights are.
  var attentionPrecision: AttentionPrecision { get }
}

/// Runs one block over all streams that travel through it: project, rotate, attend, update; with `hooks`, processors
/// are called at every site they asked for. The arithmetic of native streams is the same with and without.
public func runJointBlock(_ block: some JointBlock, _ id: BlockID, _ streams: inout [Stream], hooks run: HookRun?) {
  let present = streams.indices.filter { streams[$0].families?.contains(id.family) ?? true }
  let hooks = run?.enter(id)
  let taps = present.map { Tap(run: run, hooks: hooks, block: id, stream: streams[$0].id) }
  for (slot, index) in present.enumerated() {
    streams[index].tokens = taps[slot](.residualInput, streams[index].tokens)
  }

  // Tokens that go through the same weights go together. Riders may join: a product's row does not depend on the others.
  let together = grouped(present.indices) { block.half(for: streams[present[$0]].weights) }
  var lanes = [Lane?](repeating: nil, count: present.count)
  for (half, slots) in together {
    let inputs = slots.map { slot in
      let stream = streams[present[slot]]
      return HalfInput(
        tokens: stream.tokens, conditioning: stream.conditioning, weights: stream.weights, tap: taps[slot])
    }
    for (slot, projection) in zip(slots, block.halves[half].project(inputs)) {
      lanes[slot] = Lane(streams[present[slot]], projection, taps[slot])
    }
  }
  var ready = lanes.compactMap { $0 }
  attend(&ready, id, block.attentionPrecision, run, hooks)
  review(&ready, id, block.attentionPrecision, taps, run, hooks)

  for (half, slots) in together {
    let inputs = slots.map { slot in
      UpdateInput(
        tokens: streams[present[slot]].tokens, attention: ready[slot].output, saved: ready[slot].saved,
        weights: streams[present[slot]].weights, tap: taps[slot])
    }
    guard let updated = block.halves[half].update(inputs) else { continue }
    for (slot, tokens) in zip(slots, updated) { streams[present[slot]].tokens = taps[slot](.residualOutput, tokens) }
  }
}

/// A stream between the two halves of a block.
private struct Lane {
  let id: StreamID
  let reads: Set<StreamID>
  let query, key, value: Tensor
  let rotatedQuery, rotatedKey: Tensor
  let saved: [Tensor]
  var output: Tensor

  init(_ stream: Stream, _ projection: Projection, _ tap: Tap) {
    id = stream.id
    reads = stream.reads
    let query = tap(.query, projection.query), key = tap(.key, projection.key)
    value = tap(.value, projection.value)
    rotatedQuery = stream.rotary.map { tap(.rotatedQuery, $0.rotate(query)) } ?? query
    rotatedKey = stream.rotary.map { tap(.rotatedKey, $0.rotate(key)) } ?? key
    self.query = query
    self.key = key
    saved = projection.saved
    output = value
  }
}

/// Fills in every lane's output: lanes that read the same streams share one attention call; one that reads nobody
/// keeps its values (the paper's "neither" ablation).
private func attend(
  _ lanes: inout [Lane], _ id: BlockID, _ precision: AttentionPrecision, _ run: HookRun?, _ hooks: BlockHooks?
) {
  for (reads, group) in grouped(lanes.indices, by: { lanes[$0].reads }) {
    let call = AttentionCall(
      block: id, queries: group.map { .init(stream: lanes[$0].id, tensor: lanes[$0].rotatedQuery) },
      sources: lanes.filter { reads.contains($0.id) }.map { .init(stream: $0.id, key: $0.rotatedKey, value: $0.value) },
      scale: nil, precision: precision)
    if call.sources.isEmpty { continue }
    let outputs = run.map { compute(call, $0, hooks?.replacing[...] ?? []) } ?? call.compute()
    for (lane, output) in zip(group, outputs) { lanes[lane].output = output }
  }
}

/// The processors that replace attention, outermost first, around the default.
private func compute(_ call: AttentionCall, _ run: HookRun, _ replacing: ArraySlice<Int>) -> [Tensor] {
  guard let first = replacing.first else { return call.compute() }
  return run.processors[first].attend(call, run.pass) { compute($0, run, replacing.dropFirst()) }
}

/// The phases around the attention outputs: every `edit`, the `attentionOutput` sites, every `observe`.
private func review(
  _ lanes: inout [Lane], _ id: BlockID, _ precision: AttentionPrecision, _ taps: [Tap], _ run: HookRun?,
  _ hooks: BlockHooks?
) {
  guard let run, let hooks else { return }
  var view = hooks.watching.isEmpty ? nil : BlockView(id, precision, lanes)
  if var edited = view {
    for index in hooks.watching { run.processors[index].edit(&edited, run.pass) }
    view = edited
  }
  for slot in lanes.indices {
    lanes[slot].output = taps[slot](.attentionOutput, view?.streams[slot].output ?? lanes[slot].output)
    view?.streams[slot].output = lanes[slot].output
  }
  for index in hooks.watching {
    if let view { run.processors[index].observe(view, run.pass) }
  }
}

extension BlockView {
  fileprivate init(_ block: BlockID, _ precision: AttentionPrecision, _ lanes: [Lane]) {
    self.block = block
    self.precision = precision
    streams = lanes.map {
      .init(
        id: $0.id, query: $0.query, key: $0.key, value: $0.value, rotatedQuery: $0.rotatedQuery,
        rotatedKey: $0.rotatedKey, output: $0.output)
    }
    scale = 1 / Float(lanes[0].query.shape[3]).squareRoot()
  }
}

/// Groups in the order of their first member.
private func grouped<Member, Key: Hashable>(
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
