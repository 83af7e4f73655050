/// Who wants what at one block.
struct BlockHooks {
  /// A function of a processor, and the entry of the run that it comes from.
  struct Hook<Body> {
    let entry: Int
    let processor: String
    let passes: PassFilter
    let body: Body
    /// Of a rewrite.
    var vjp: HookPlan.RewriteVJP?
  }

  struct AtSite {
    var rewrites: [Hook<HookPlan.Rewrite>] = []
    var reads: [Hook<HookPlan.Read>] = []
    var isEmpty: Bool { rewrites.isEmpty && reads.isEmpty }
  }

  var sites: [Site: AtSite] = [:]
  var edits: [Hook<HookPlan.Edit>] = []
  var observers: [Hook<HookPlan.Observe>] = []
  /// Of the second attention.
  var dualObservers: [Hook<HookPlan.Observe>] = []
  var replacements: [AttentionCall.Part: [Hook<HookPlan.Attend>]] = [:]
  var readOuts: [Hook<HookPlan.ReadOut>] = []

  /// Whether somebody looks at whole blocks.
  var needsView: Bool { !edits.isEmpty || !observers.isEmpty }

  /// What is wanted in this pass; nil when nothing is.
  func active(in pass: Pass) -> BlockHooks? {
    var result = BlockHooks()
    result.sites = sites.compactMapValues { hooks in
      let active = AtSite(
        rewrites: hooks.rewrites.filter { $0.passes.contains(pass) },
        reads: hooks.reads.filter { $0.passes.contains(pass) })
      return active.isEmpty ? nil : active
    }
    result.edits = edits.filter { $0.passes.contains(pass) }
    result.observers = observers.filter { $0.passes.contains(pass) }
    result.dualObservers = dualObservers.filter { $0.passes.contains(pass) }
    result.replacements = replacements.compactMapValues { hooks in
      let active = hooks.filter { $0.passes.contains(pass) }
      return active.isEmpty ? nil : active
    }
    result.readOuts = readOuts.filter { $0.passes.contains(pass) }
    let isEmpty =
      result.sites.isEmpty && result.replacements.isEmpty && result.readOuts.isEmpty && result.dualObservers.isEmpty
    return isEmpty && !result.needsView ? nil : result
  }

  /// The hooks of every block that has any.
  ///
  /// - Throws: `HookError` for a pattern that matches nothing
  static func table(
    _ entries: [(processor: String, plan: HookPlan.Entry)], _ places: Places
  ) throws(HookError) -> [BlockID: BlockHooks] {
    var table: [BlockID: BlockHooks] = [:]
    for (index, entry) in entries.enumerated() {
      func hook<Body>(_ body: Body) -> Hook<Body> {
        Hook(entry: index, processor: entry.processor, passes: entry.plan.passes, body: body)
      }
      switch entry.plan.action {
      case .read(let pattern, let body):
        for site in try places.sites(pattern, entry.processor) {
          table[site.block, default: .init()].sites[site, default: .init()].reads.append(hook(body))
        }
      case .rewrite(let pattern, let body, let vjp):
        for site in try places.sites(pattern, entry.processor) {
          var rewrite = hook(body)
          rewrite.vjp = vjp
          table[site.block, default: .init()].sites[site, default: .init()].rewrites.append(rewrite)
        }
      case .edit(let pattern, let body):
        for block in try places.blocks(pattern, entry.processor) {
          table[block, default: .init()].edits.append(hook(body))
        }
      case .observe(let pattern, let part, let body):
        for block in try places.blocks(pattern, part, entry.processor) {
          switch part {
          case .joint: table[block, default: .init()].observers.append(hook(body))
          case .dual: table[block, default: .init()].dualObservers.append(hook(body))
          }
        }
      case .attend(let pattern, let part, let body):
        for block in try places.blocks(pattern, part, entry.processor) {
          table[block, default: .init()].replacements[part, default: []].append(hook(body))
        }
      case .readOut(let pattern, let body):
        for block in try places.blocks(pattern, entry.processor, withTextEncoders: false) {
          table[block, default: .init()].readOuts.append(hook(body))
        }
      case .board, .guide, .latents: break
      }
    }
    return table
  }
}

/// The blocks and sites of a model, with those of the riders of a run and of its text encoders, which patterns must name: `*`
/// stands for the model's own families.
struct Places {
  private let blocks: [BlockID]
  private let sites: [Site]
  private let streams: [StreamID]
  private let encoders: [any StreamModel]

  /// - Throws: `HookError` for a rider that the model cannot carry
  init(
    _ model: any StreamModel, encoders: [any StreamModel] = [], riders: [(processor: String, rider: Rider)]
  ) throws(HookError) {
    blocks = model.blocks
    self.encoders = encoders
    var streams: [StreamID] = [], sites = model.sites
    for site in sites where !streams.contains(site.stream) { streams.append(site.stream) }
    let native = streams, all = native + riders.map(\.rider.id)
    for (processor, rider) in riders {
      if streams.contains(rider.id) { throw .duplicateStream(rider.id, processor: processor) }
      func bad(_ reason: String) -> HookError { .badRider(rider.id, processor: processor, reason: reason) }
      guard native.contains(rider.processedAs) else {
        throw bad("is to be processed as '\(rider.processedAs)'; this model has \(native.map(\.name))")
      }
      if let unknown = rider.reads.first(where: { !all.contains($0) }) {
        throw bad("reads '\(unknown)'; there are \(all.map(\.name))")
      }
      let own = model.sites(of: rider)
      guard !own.isEmpty else {
        let families = Set(blocks.map(\.family)).sorted()
        throw bad(
          "travels through \(rider.families?.sorted() ?? []), where there is no block for it; families are \(families)")
      }
      streams.append(rider.id)
      sites += own
    }
    (self.sites, self.streams) = (sites, streams)
  }

  /// - Throws: `HookError` when there are none
  func sites(_ pattern: SitePattern, _ processor: String) throws(HookError) -> [Site] {
    let found = sites.filter(pattern.matches)
    if !found.isEmpty { return found }
    let ofEncoders = pattern.pattern.name(ofPart: 0) == nil ? [] : encoders.flatMap(\.sites)
    let named = ofEncoders.filter(pattern.matches)
    if !named.isEmpty { return named }
    if let name = pattern.pattern.name(ofPart: 2), !streams.contains(where: { $0.name == name }) {
      throw .noStream(
        StreamID(name), pattern: pattern.text, processor: processor, streams: streams.map(\.name))
    }
    throw .unknownPlace(
      pattern: pattern.text, processor: processor,
      nearest: pattern.pattern.nearest(of: (sites + ofEncoders).map(\.description), count: 2))
  }

  /// The blocks that have a second attention, or all.
  ///
  /// - Throws: `HookError` when there are none
  func blocks(
    _ pattern: BlockPattern, _ part: AttentionCall.Part, _ processor: String
  ) throws(HookError) -> [BlockID] {
    let found = try blocks(pattern, processor)
    if part == .joint { return found }
    let dual = Set(sites.filter { $0.point == .dualAttentionOutput }.map(\.block))
    if dual.isDisjoint(with: found) {
      throw .refused(
        processor: processor,
        reason: dual.isEmpty
          ? "asks for the second attention of '\(pattern)'; no block of this model has one"
          : "asks for the second attention of '\(pattern)'; \(blocks.filter(dual.contains)) have one")
    }
    return found.filter(dual.contains)
  }

  /// - Throws: `HookError` when there are none
  func blocks(
    _ pattern: BlockPattern, _ processor: String, withTextEncoders: Bool = true
  ) throws(HookError) -> [BlockID] {
    let isNamed = withTextEncoders && pattern.pattern.name(ofPart: 0) != nil
    let all = blocks + (isNamed ? encoders.flatMap(\.blocks) : []), found = all.filter(pattern.matches)
    if !found.isEmpty { return found }
    throw .unknownPlace(
      pattern: pattern.text, processor: processor,
      nearest: pattern.pattern.nearest(of: all.map(\.description), count: 2))
  }
}
