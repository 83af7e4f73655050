import Tensor

/// Processors installed on a model for one run: what the joint-block runner talks to.
///
/// Used from one thread at a time. Give it the current `pass` before every forward pass and call `finish()` at the
/// end of the run. Passes that go through the blocks together have one each, see `beside(_:)`.
public final class HookRun {
  public let processors: [any AttentionProcessor]
  /// The pass that is running.
  public var pass: Pass
  /// How often each site's processors were called.
  public var fired: [Site: Int] { counts.fired }

  /// The output layers of the model with the conditioning of the pass that is running: image tokens leaving a block,
  /// `[batch, tokens, dim]`, to the model's output. A model sets it before its blocks run.
  public var readOut: ((Tensor) -> Tensor)?
  /// From a prediction to the clean latents it stands for, at the latents of the pass that is running. A run with a sampler
  /// sets it.
  public var predictedClean: ((Tensor) -> Tensor)?

  /// What processors do to a pass that is to be gone through backwards; nil for any other.
  var log: PassLog?
  let places: Places

  let blocks: [BlockID]
  let entries: [Entry]
  let table: [BlockID: BlockHooks]
  private let counts: Counts

  /// What was called, in all passes.
  private final class Counts {
    var fired: [Site: Int] = [:]
    /// How often each entry was called.
    var calls: [Int]

    init(entries: Int) { calls = [Int](repeating: 0, count: entries) }
  }

  /// What a processor entered into its plan.
  struct Entry {
    let processor: String
    /// Its place in the list.
    let owner: Int
    let plan: HookPlan.Entry

    var rider: (processor: String, rider: Rider)? {
      if case .board(let rider) = plan.action { (processor, rider) } else { nil }
    }
  }

  /// - Parameters:
  ///   - encoders: text encoders that run before the first pass. Patterns reach them by the names of their families
  ///     (`t5.3.text.residualOutput`); `*` does not stand for them
  ///   - pass: the first one
  ///   - passes: all that the run will make, where they are known: a processor that asks for others is then refused now
  ///     rather than at the end
  /// - Throws: `HookError` when a processor does not fit the model or the run, and whatever a processor throws itself
  public init(
    _ processors: [any AttentionProcessor], on model: any StreamModel, encoders: [any StreamModel] = [], pass: Pass,
    passes: [Pass] = []
  ) throws {
    self.processors = processors
    self.pass = pass
    blocks = model.blocks
    entries = try processors.enumerated().flatMap { owner, processor in
      var plan = HookPlan()
      try processor.install(&plan, on: model)
      if plan.entries.isEmpty { throw HookError.nothingToDo(processor: processor.name) }
      return plan.entries.map { Entry(processor: processor.name, owner: owner, plan: $0) }
    }
    counts = Counts(entries: entries.count)
    try Self.check(entries, Self.all(passes, entries))
    places = try Places(model, encoders: encoders, riders: entries.compactMap(\.rider))
    table = try BlockHooks.table(entries.map { ($0.processor, $0.plan) }, places)
  }

  private init(_ run: HookRun, beside pass: Pass) {
    (processors, blocks, places) = (run.processors, run.blocks, run.places)
    (entries, table, counts) = (run.entries, run.table, run.counts)
    predictedClean = run.predictedClean
    self.pass = pass
  }

  /// The same run in another pass, for passes that go through the blocks together. What is called there counts here.
  public func beside(_ pass: Pass) -> HookRun { HookRun(self, beside: pass) }

  /// Adds the processors' streams to a pass. `stream` turns a rider into tokens, conditioning and positions.
  public func board(_ streams: inout [Stream], _ stream: (Rider) -> Stream) {
    for (index, entry) in entries.enumerated() {
      guard case .board(let rider) = entry.plan.action, entry.plan.passes.contains(pass) else { continue }
      counts.calls[index] += 1
      streams.append(stream(rider))
    }
  }

  /// The streams that processors bring along.
  var riders: [Rider] { entries.compactMap(\.rider?.rider) }

  /// Whether anybody wants anything of a family's blocks in the current pass.
  public func wants(family: String) -> Bool {
    table.contains { $0.key.family == family && $0.value.active(in: pass) != nil }
  }

  /// Whether nobody wants anything from the blocks after this one.
  public func isDone(after block: BlockID) -> Bool {
    guard let place = blocks.firstIndex(of: block) else { return false }
    return !blocks[(place + 1)...].contains { table[$0] != nil }
  }

  /// - Throws: `HookError.neverFired` for anything asked for that no pass reached, and what processors throw when they
  ///   finish
  public func finish() throws {
    for (entry, calls) in zip(entries, counts.calls) where calls == 0 {
      throw HookError.neverFired(what: entry.plan.what, processor: entry.processor)
    }
    for processor in processors { try processor.finish() }
  }

  /// The passes with those that processors ask for.
  ///
  /// - Throws: `HookError.refused` for a branch that exists already
  private static func all(_ passes: [Pass], _ entries: [Entry]) throws(HookError) -> [Pass] {
    var taken = Pass.Branch.native, all = passes
    for entry in entries {
      guard case .guide(let extra?, _) = entry.plan.action else { continue }
      guard taken.insert(extra.branch).inserted else {
        throw .refused(
          processor: entry.processor, reason: "asks for a pass '\(extra.branch.rawValue)', which there is already")
      }
      for pass in passes where entry.plan.passes.contains(pass) {
        var further = pass
        further.branch = extra.branch
        all.append(further)
      }
    }
    return all
  }

  private static func check(_ entries: [Entry], _ passes: [Pass]) throws(HookError) {
    for entry in entries where !passes.isEmpty && !passes.contains(where: entry.plan.passes.contains) {
      let steps = passes.map(\.step), branches = Set(passes.map(\.branch.rawValue)).sorted()
      throw .noSuchPass(
        what: entry.plan.what, processor: entry.processor,
        passes: "steps \(steps.min() ?? 0) to \(steps.max() ?? 0), \(branches.joined(separator: " and "))")
    }
  }
}

// What happens between passes.
extension HookRun {
  /// What is entered for the step of the current pass.
  func entered<Value>(_ value: (HookPlan.Entry.Action) -> Value?) -> [Value] {
    entries.filter { $0.plan.passes.contains(stepPass) }.compactMap { value($0.plan.action) }
  }

  /// A tensor through all functions of a kind, each seeing what the one before returned.
  func changed(
    _ tensor: Tensor, _ operation: String, _ body: (HookPlan.Entry.Action, Tensor, Pass) -> Tensor?
  ) -> Tensor {
    var result = tensor
    for (index, entry) in entries.enumerated() where entry.plan.passes.contains(stepPass) {
      guard let changed = body(entry.plan.action, result, stepPass) else { continue }
      counts.calls[index] += 1
      guard changed.shape == tensor.shape else {
        tensorFailure(
          "\(entry.processor).\(operation): returned shape \(changed.shape), expected \(tensor.shape)")
      }
      result = changed
    }
    return result
  }

  private var stepPass: Pass {
    var pass = pass
    pass.branch = .conditional
    return pass
  }
}

// What the runner asks.
extension HookRun {
  /// Who wants what of a block that is about to run in this pass; nil when nobody wants anything.
  func enter(_ block: BlockID) -> BlockHooks? { table[block]?.active(in: pass) }

  func visit(_ site: Site, _ tensor: Tensor, _ hooks: BlockHooks.AtSite) -> Tensor {
    counts.fired[site, default: 0] += 1
    var result = tensor
    for hook in hooks.rewrites {
      counts.calls[hook.entry] += 1
      let rewritten = hook.body(result, site, pass)
      guard rewritten.shape == tensor.shape else {
        tensorFailure(
          "\(hook.processor).rewrite at \(site): returned shape \(rewritten.shape), expected \(tensor.shape)")
      }
      log?.rewritten(site, from: result, to: rewritten, by: hook, in: pass)
      result = rewritten
    }
    for hook in hooks.reads {
      counts.calls[hook.entry] += 1
      hook.body(result, site, pass)
    }
    return result
  }

  /// The processors that replace attention, outermost first, around the default.
  ///
  /// - Parameter computed: set to what the default was given; left alone where nobody calls it
  func attend(
    _ call: AttentionCall, _ hooks: ArraySlice<BlockHooks.Hook<HookPlan.Attend>>, computed: inout AttentionCall
  ) -> [Tensor] {
    guard let hook = hooks.first else {
      computed = call
      return call.compute()
    }
    counts.calls[hook.entry] += 1
    let outputs = hook.body(call, pass) { attend($0, hooks.dropFirst(), computed: &computed) }
    // The default gives as many heads and values as the sources have.
    let expected = call.queries.map {
      [$0.tensor.shape[0], $0.tensor.shape[1], $0.tensor.shape[2], call.sources[0].value.shape[3]]
    }
    guard outputs.map(\.shape) == expected else {
      tensorFailure(
        "\(hook.processor).attend in block \(call.block): returned shapes \(outputs.map(\.shape)), expected \(expected), "
          + "one for each of \(call.queries.map(\.stream.name))")
    }
    return outputs
  }

  func edit(_ view: inout BlockView, _ hooks: [BlockHooks.Hook<HookPlan.Edit>]) {
    for hook in hooks {
      counts.calls[hook.entry] += 1
      let before = view.streams.map(\.output.shape)
      hook.body(&view, pass)
      for (stream, shape) in zip(view.streams, before) where stream.output.shape != shape {
        tensorFailure(
          "\(hook.processor).edit in block \(view.id): output of '\(stream.id)' has shape \(stream.output.shape), "
            + "expected \(shape)")
      }
    }
  }

  func readOut(_ tokens: Tensor, _ block: BlockID, _ hooks: [BlockHooks.Hook<HookPlan.ReadOut>]) {
    guard let readOut else { tensorFailure("readOut in block \(block): this model gives HookRun no output layers") }
    let output = ReadOutView(prediction: readOut(tokens), toClean: predictedClean)
    for hook in hooks {
      counts.calls[hook.entry] += 1
      hook.body(output, block, pass)
    }
  }

  func observe(_ view: BlockView, _ hooks: [BlockHooks.Hook<HookPlan.Observe>]) {
    for hook in hooks {
      counts.calls[hook.entry] += 1
      hook.body(view, pass)
    }
  }
}

extension HookPlan.Entry {
  /// For messages.
  var what: String {
    switch action {
    case .read(let pattern, _), .rewrite(let pattern, _, _): "'\(pattern)'"
    case .edit(let pattern, _), .observe(let pattern, _, _), .readOut(let pattern, _), .attend(let pattern, _, _):
      "'\(pattern)'"
    case .board(let rider): "stream '\(rider.id)'"
    case .guide(let extra, _): extra.map { "a pass '\($0.branch.rawValue)'" } ?? "guidance"
    case .latents: "the latents"
    }
  }
}
