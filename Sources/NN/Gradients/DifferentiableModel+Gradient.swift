import Tensor

extension DifferentiableModel {
  /// The gradient of a scalar with respect to inputs and sites, by reverse mode.
  ///
  /// The pass runs once with its processors, keeping the tokens that enter every block; then every block runs again on
  /// variables, last first, and is gone through backwards. So the activations of one block are held at a time, and it costs
  /// some three passes.
  ///
  /// - Parameters:
  ///   - pass: for the processors
  ///   - processors: act on the pass as on any other. What only reads or changes attention's biases and scales has no bearing
  ///     on the way back; a rewrite needs a `vjp`
  /// - Throws: `GradientError`, `HookError`, what processors throw, and `CancellationError`
  public func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: Input, pass: Pass,
    processors: [any AttentionProcessor] = []
  ) throws -> PassGradient {
    guard scalar.dependsOnOutput || !scalar.patterns.isEmpty else {
      throw GradientError.nothing("the scalar depends neither on the output nor on a site")
    }
    let reader = SiteReader(scalar.patterns)
    let run = try HookRun(
      processors + (scalar.patterns.isEmpty ? [] : [reader]), on: self, pass: pass, passes: [pass])
    let log = PassLog()
    run.log = log
    var sweep = GradientSweep(self, input, log, try PlaceSet(places, self, input, run))
    let output = try sweep.forward(run, needsOutput: scalar.dependsOnOutput)
    try run.finish()
    if let problem = log.problem { throw problem }
    let readings = Scalar.Readings(output: output, sites: reader.tensors)
    let derivative = scalar.derivative(readings)
    try check(derivative, readings)
    var result = PassGradient(value: scalar.value(readings), output: output)
    try sweep.backward(derivative, into: &result)
    return result
  }

  private func check(_ derivative: Scalar.Readings, _ readings: Scalar.Readings) throws(GradientError) {
    if let found = derivative.output?.shape, found != readings.output?.shape {
      throw .badDerivative(place: "the output", found: found, expected: readings.output?.shape ?? [])
    }
    for (site, tensor) in derivative.sites where tensor.shape != readings.sites[site]?.shape {
      throw .badDerivative(place: "\(site)", found: tensor.shape, expected: readings.sites[site]?.shape ?? [])
    }
  }
}

/// Keeps what a scalar depends on.
package final class SiteReader: AttentionProcessor {
  package let name = "the scalar"
  let patterns: [SitePattern]
  package private(set) var tensors: [Site: Tensor] = [:]

  package init(_ patterns: [SitePattern]) { self.patterns = patterns }

  package func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    for pattern in patterns {
      hooks.read(pattern, in: .every) { tensor, site, _ in self.tensors[site] = tensor }
    }
  }
}

/// Where gradients are wanted.
private struct PlaceSet {
  var latents = false, text = false, pooled = false
  var sites: Set<Site> = []

  var hasInputs: Bool { latents || text || pooled }

  init<Model: DifferentiableModel>(
    _ places: [GradientPlace], _ model: Model, _ input: Model.Input, _ run: HookRun
  ) throws {
    if places.isEmpty { throw GradientError.nothing("no place is given to take it at") }
    let running = Set(model.running(input).map(\.1))
    for place in places {
      switch place {
      case .latents: latents = true
      case .promptEmbeddings: text = true
      case .pooled:
        guard model.leaves(of: input).pooled != nil else {
          throw GradientError.noSuchPlace("pooled", reason: "is not among what this model is given")
        }
        pooled = true
      case .sites(let pattern):
        let found = try run.places.sites(pattern, "gradient").filter { running.contains($0.block) }
        if found.isEmpty { throw GradientError.noSuchPlace(pattern.text, reason: "is in blocks that this pass skips") }
        sites.formUnion(found)
      }
    }
  }
}

/// One pass, forward and backward.
private struct GradientSweep<Model: DifferentiableModel> {
  let model: Model
  let input: Model.Input
  let log: PassLog
  let wanted: PlaceSet
  let blocks: [(any JointBlock, BlockID)]
  /// The streams that entered each block that ran.
  private var entered: [[Stream]] = []
  private var riders: [StreamID: Rider] = [:]
  /// With respect to the tokens of every stream where the way back stands, and to their conditionings, so far.
  private var tokens: [StreamID: Tensor] = [:]
  private var conditionings: [StreamID: Tensor] = [:]

  init(_ model: Model, _ input: Model.Input, _ log: PassLog, _ wanted: PlaceSet) {
    (self.model, self.input, self.log, self.wanted) = (model, input, log, wanted)
    blocks = model.running(input)
  }

  mutating func forward(_ run: HookRun, needsOutput: Bool) throws -> Tensor? {
    for rider in run.riders { riders[rider.id] = rider }
    let (first, readOut) = model.streams(input, run)
    var streams = first
    for (block, id) in blocks {
      if Task.isCancelled { throw CancellationError() }
      entered.append(streams)
      runJointBlock(block, id, &streams, hooks: run)
      if !needsOutput, run.isDone(after: id) { return nil }
    }
    entered.append(streams)
    return needsOutput ? readOut(streams[.image].tokens) : nil
  }

  mutating func backward(_ derivative: Scalar.Readings, into result: inout PassGradient) throws {
    if let output = derivative.output { backFromOutput(output) }
    if entered.count > blocks.count { entered.removeLast() }
    while let streams = entered.popLast() {
      if Task.isCancelled { throw CancellationError() }
      let (block, id) = blocks[entered.count]
      let seeds = derivative.sites.filter { $0.key.block == id }
      let here = wanted.sites.filter { $0.block == id }
      let goesOn =
        wanted.hasInputs
        || blocks[..<entered.count].contains { earlier in
          wanted.sites.contains { $0.block == earlier.1 }
        }
      if here.isEmpty && !goesOn { break }
      if tokens.isEmpty && seeds.isEmpty {
        for site in here { result.sites[site] = try zeros(site, streams, block, id) }
        continue
      }
      try back(through: block, id, streams, seeds, here, goesOn, &result)
    }
    if wanted.hasInputs { backToInputs(&result) }
  }

  private mutating func backFromOutput(_ gradient: Tensor) {
    guard let image = entered.last?[.image] else { return }
    let leaf = Variable(image.tokens, needsGradient: true)
    let conditioning = Variable(image.conditioning, needsGradient: wanted.pooled)
    backpropagate([(model.traceReadOut(leaf, conditioning, input), gradient)])
    tokens[.image] = leaf.gradient
    conditionings[.image] = conditioning.gradient
  }

  /// - Parameters:
  ///   - here: the sites wanted in this block
  ///   - goesOn: whether anything before this block is wanted
  private mutating func back(
    through block: any JointBlock, _ id: BlockID, _ streams: [Stream], _ seeds: [Site: Tensor], _ here: Set<Site>,
    _ goesOn: Bool, _ result: inout PassGradient
  ) throws(GradientError) {
    let present = streams.filter { $0.families?.contains(id.family) ?? true }
    let leaves = present.map { stream in
      TracedStream(
        stream: stream, tokens: Variable(stream.tokens, needsGradient: goesOn),
        conditioning: Variable(stream.conditioning, needsGradient: wanted.pooled))
    }
    var traced = leaves
    let trace = BlockTrace(id, log: log, wanted: here.union(seeds.keys))
    try trace.run(block, &traced)
    var ends: [(Variable, Tensor)] = []
    for stream in traced {
      if let gradient = tokens[stream.stream.id] { ends.append((stream.tokens, gradient)) }
    }
    for (site, gradient) in seeds.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      ends.append((try visited(site, trace), gradient))
    }
    backpropagate(ends)
    for site in here {
      let gradient = try visited(site, trace).gradient
      result.sites[site] = if let gradient { gradient } else { try zeros(site, streams, block, id) }
    }
    for leaf in leaves {
      tokens[leaf.stream.id] = leaf.tokens.gradient
      guard let gradient = leaf.conditioning.gradient else { continue }
      conditionings[leaf.stream.id] = conditionings[leaf.stream.id].map { $0 + gradient } ?? gradient
    }
  }

  /// Of a site that the scalar does not depend on: its block runs again for the shape alone.
  private func zeros(
    _ site: Site, _ streams: [Stream], _ block: any JointBlock, _ id: BlockID
  ) throws(GradientError) -> Tensor {
    let present = streams.filter { $0.families?.contains(id.family) ?? true }
    var traced = present.map {
      TracedStream(stream: $0, tokens: Variable($0.tokens), conditioning: Variable($0.conditioning))
    }
    let trace = BlockTrace(id, log: log, wanted: [site])
    try trace.run(block, &traced)
    return Tensor(zeros: try visited(site, trace).value.shape)
  }

  private func visited(_ site: Site, _ trace: BlockTrace) throws(GradientError) -> Variable {
    guard let variable = trace.visited[site] else {
      throw .noSuchPlace("\(site)", reason: "is not visited by the block's trace")
    }
    return variable
  }

  private func backToInputs(_ result: inout PassGradient) {
    let tensors = model.leaves(of: input)
    let leaves = InputVariables(
      latents: Variable(tensors.latents, needsGradient: wanted.latents),
      text: Variable(tensors.text, needsGradient: wanted.text),
      pooled: tensors.pooled.map { Variable($0, needsGradient: wanted.pooled) })
    let streams = model.traceStreams(input, leaves)
    var ends: [(Variable, Tensor)] = []
    for stream in streams {
      if let gradient = tokens[stream.id] { ends.append((stream.tokens, gradient)) }
      if let gradient = conditionings[stream.id] { ends.append((stream.conditioning, gradient)) }
    }
    if let native = streams.first?.conditioning {
      for (id, rider) in riders.sorted(by: { $0.key.name < $1.key.name }) {
        guard let gradient = conditionings[id], let own = model.traceConditioning(of: rider, native) else { continue }
        ends.append((own, gradient))
      }
    }
    backpropagate(ends)
    if wanted.latents { result.latents = leaves.latents.gradient ?? Tensor(zeros: tensors.latents.shape) }
    if wanted.text { result.promptEmbeddings = leaves.text.gradient ?? Tensor(zeros: tensors.text.shape) }
    if wanted.pooled { result.pooled = leaves.pooled?.gradient ?? tensors.pooled.map { Tensor(zeros: $0.shape) } }
  }
}
