import NN
import Tensor

/// A family that turns noise into pictures or videos step by step, in the latents of an autoencoder. It says how it
/// encodes prompts, how its transformer is called and which sampler it takes; planning, steps, guidance, pictures to start
/// from and passes over existing pictures come from here.
///
/// Source: diffusers `FluxPipeline`, `StableDiffusion3Pipeline` and their `Img2Img` forms; the same seed gives the same
/// noise, latents and picture.
public protocol DenoisingPipeline: DiffusionPipeline {
  associatedtype Codec: LatentCodec
  /// What the transformer needs to know of where its tokens stand.
  associatedtype Positions

  var codec: Codec { get }
  /// What the text encoders' weights are mapped from. Released after prompts are encoded: they are not needed until the
  /// next run.
  var textWeights: [any WeightSource] { get }

  /// The widths of encoded prompts: of the text encoders' states and of the pooled vectors, 0 without those.
  var promptWidths: (states: Int, pooled: Int) { get }

  /// How image tokens tile a picture or video.
  ///
  /// - Throws: `RequestError` for a number of frames that the family does not have
  func grid(_ size: FrameSize) throws -> TokenGrid

  /// - Parameters:
  ///   - maxSequenceLength: tokens T5 is given, padding included
  ///   - clipSkip: see `GenerationRequest`
  /// - Throws: `TokenizerError`, `RequestError`
  func encode(_ prompts: [String], maxSequenceLength: Int, clipSkip: Int) throws -> EncodedPrompts

  /// The schedule and solver of a run. Throws `SchedulerError`.
  func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler

  /// The shape of latents, in the layout that noise is drawn in: the codec's, unless the transformer needs more frames.
  func latentShape(_ size: FrameSize, batch: Int) -> [Int]

  /// The codec's latents as the transformer takes them, and back.
  func packed(_ latents: Tensor) -> Tensor
  func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor

  /// Latents without the frames that only the transformer needed, for the codec.
  func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor

  func positions(grid: TokenGrid) -> Positions

  /// One pass of the transformer.
  ///
  /// - Returns: what the sampler steps with (the velocity, the noise), of the shape of the latents
  func predict(_ input: DenoiserInput, _ positions: Positions, hooks: HookRun?) -> Tensor

  /// One pass, gone through backwards: see `DifferentiableModel.gradient(of:at:_:pass:processors:)`.
  func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: DenoiserInput, _ positions: Positions, pass: Pass,
    processors: [any AttentionProcessor]
  ) throws -> PassGradient

  /// One pass as far as the hooks look.
  func look(_ input: DenoiserInput, _ positions: Positions, hooks: HookRun)
}

extension EncodedPrompts {
  /// As a further branch has it.
  fileprivate func replaced(by extra: ExtraBranch) -> EncodedPrompts {
    func own(_ tensor: Tensor?, else plain: Tensor) -> Tensor {
      tensor.map { $0.broadcast(to: [plain.shape[0]] + $0.shape.dropFirst()).contiguous() } ?? plain
    }
    return EncodedPrompts(states: own(extra.text, else: states), pooled: own(extra.pooled, else: pooled))
  }
}

/// What one pass of a denoiser is given.
public struct DenoiserInput: Sendable {
  /// Packed.
  public var latents: Tensor
  public var text: EncodedPrompts
  /// 0 … 1000.
  public var timestep: Float
  /// Told to a guidance-distilled model; nil for a model that is told nothing.
  public var guidance: Float?
  /// Blocks that are passed over.
  public var skippedLayers: Set<Int> = []
}

extension DenoisingPipeline {
  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] { codec.latentShape(size, batch: batch) }

  public func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor { latents }

  /// Of pictures: one frame.
  public func grid(_ size: FrameSize) throws -> TokenGrid {
    if size.frames != 1 { throw RequestError.badFrames(size.frames, expected: "1: \(settings.name) makes pictures") }
    return TokenGrid(height: size.height / sizeMultiple, width: size.width / sizeMultiple)
  }

  public func generate(
    _ plan: GenerationPlan, processors: [any AttentionProcessor], resuming state: GenerationState?,
    onStep: (GenerationStep) throws -> Void
  ) throws -> GenerationResult {
    let run = try hookRun(processors, passes: plan.passes)
    var sampler = try sampler(steps: plan.steps, grid: plan.grid)
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let denoiser = Denoiser(
      conditional: try plan.encodedPrompts
        ?? encode(plan.prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip),
      unconditional: try plan.guidance.classifierFree.map { guidance in
        let prompts = plan.prompts.map { _ in guidance.negativePrompt }
        return try plan.encodedNegative
          ?? encode(prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: 0)
      },
      plan: plan, positions: positions(grid: plan.grid), run: run)
    var noise = try NoiseSource(plan, latentShape(plan.size, batch: 1), packed)
    var latents = try startingLatents(plan, sampler, &noise)
    if let state { latents = try resume(state, &sampler, &noise, plan, shape: latents.shape) }
    for weights in textWeights { weights.release() }
    seconds.encoding = watch.lap()
    for (index, level) in plan.levels.enumerated().dropFirst(state?.stepsDone ?? 0) {
      let before = latents
      run?.predictedClean = { sampler.predictedClean(before, output: $0, at: level.step) }
      let output = prediction(latents, at: level, denoiser)
      try Task.checkCancellation()
      latents = sampler.step(latents, output: output, at: level.step) { noise.draw() }
      latents = run?.rewritten(latents: latents) ?? latents
      let state = GenerationState(stepsDone: index + 1, latents: latents, draws: noise.draws, memory: sampler.memory)
      try onStep(
        GenerationStep(
          done: index + 1, total: plan.levels.count, level: level, state: state, before: before, prediction: output,
          toClean: { [sampler] in sampler.predictedClean(before, output: output, at: level.step) }))
    }
    // What a processor asked for may have been in the steps before.
    if state == nil { try run?.finish() }
    seconds.transformer = watch.lap()
    let frames = frames(ofLatents: latents, plan)
    seconds.decoding = watch.lap()
    return GenerationResult(frames: frames, fired: run?.fired ?? [:], seconds: seconds)
  }

  @discardableResult public func inspect(
    _ plan: InspectionPlan, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    guard let run = try hookRun(processors, passes: plan.passes) else { throw RequestError.nobodyLooks }
    let sampler = try sampler(steps: plan.levels[0].steps, grid: plan.grid)
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let clean = packed(encodeFrames(plan.frames))
    var text = try encode([plan.prompt], maxSequenceLength: plan.maxSequenceLength, clipSkip: 0)
    if plan.zeroesPooledText { text.pooled = Tensor(zeros: text.pooled.shape) }
    for weights in textWeights { weights.release() }
    seconds.encoding = watch.lap()
    let positions = positions(grid: plan.grid), total = plan.samples * plan.levels.count
    for sample in 0..<plan.samples {
      let noise = inspectionNoise(plan, sample: sample)
      for (index, (level, pass)) in zip(plan.levels, plan.passes).enumerated() {
        let noised = sampler.noised(clean, noise: noise, at: level)
        run.pass = pass
        look(
          DenoiserInput(latents: noised, text: text, timestep: level.timestep, guidance: plan.distilledGuidance),
          positions, hooks: run)
        try Task.checkCancellation()
        let done = sample * plan.levels.count + index + 1
        let state = GenerationState(stepsDone: done, latents: noised, draws: sample + 1, memory: [:])
        try onStep(
          GenerationStep(done: done, total: total, level: level, state: state, before: noised))
      }
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return InspectionResult(fired: run.fired, seconds: seconds)
  }

  @discardableResult public func revisit(
    _ plan: GenerationPlan, latents: [Tensor], processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    guard latents.count == plan.levels.count else {
      throw RequestError.badLatents(found: [latents.count], expected: [plan.levels.count])
    }
    let passes = plan.passes.filter { $0.branch == .conditional }
    guard let run = try hookRun(processors, passes: passes) else { throw RequestError.nobodyLooks }
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let text = try encode(plan.prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip)
    for weights in textWeights { weights.release() }
    seconds.encoding = watch.lap()
    let positions = positions(grid: plan.grid)
    for (index, (level, latents)) in zip(plan.levels, latents).enumerated() {
      run.pass = passes[index]
      look(
        DenoiserInput(latents: latents, text: text, timestep: level.timestep, guidance: plan.guidance.distilled),
        positions, hooks: run)
      try Task.checkCancellation()
      let state = GenerationState(stepsDone: index + 1, latents: latents, draws: 0, memory: [:])
      try onStep(
        GenerationStep(
          done: index + 1, total: plan.levels.count, level: level, state: state, before: latents))
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return InspectionResult(fired: run.fired, seconds: seconds)
  }

  public func preview(_ latents: Tensor, _ plan: GenerationPlan, side: Int) -> Tensor {
    var latents = trimmed(unpacked(latents.narrow(0, from: 0, count: 1), plan.grid), plan.size)
    let longest = max(plan.size.height, plan.size.width)
    if longest > side, latents.rank == 4 {
      let (height, width) = (latents.shape[2] * side / longest, latents.shape[3] * side / longest)
      latents = latents.resized(height: max(height, 1), width: max(width, 1), mode: .bilinear, antialias: true)
    }
    return GenerationResult(frames: decoded(latents)).image()
  }

  public func activationEstimate(_ plan: GenerationPlan) -> ActivationEstimate {
    let pictures = plan.prompts.count, tokens = plan.grid.count + plan.maxSequenceLength
    let pixels = 3 * plan.size.frames * plan.size.width * plan.size.height * pictures
    return ActivationEstimate(
      transformer: 4 * pictures * tokens * settings.floatsPerToken,
      decoding: codec.decodingBytes(plan.size) + 4 * pixels)
  }

  public func frames(ofLatents latents: Tensor, _ plan: GenerationPlan) -> Tensor {
    decoded(trimmed(unpacked(latents, plan.grid), plan.size))
  }

  public func latents(ofFrames frames: Tensor) -> Tensor { packed(encodeFrames(frames)) }

  private func hookRun(_ processors: [any AttentionProcessor], passes: [Pass]) throws -> HookRun? {
    guard !processors.isEmpty, let first = passes.first else { return nil }
    return try HookRun(processors, on: transformer, pass: first, passes: passes)
  }

  /// Brings sampler and noise to where the run stood.
  ///
  /// - Returns: its latents
  private func resume(
    _ state: GenerationState, _ sampler: inout any Sampler, _ noise: inout NoiseSource, _ plan: GenerationPlan,
    shape: [Int]
  ) throws -> Tensor {
    guard (0...plan.levels.count).contains(state.stepsDone), (noise.draws...plan.steps + 1).contains(state.draws) else {
      throw RequestError.badState(
        "\(state.stepsDone) steps and \(state.draws) draws of noise, of a run of \(plan.levels.count) steps")
    }
    guard state.latents.shape == shape, state.latents.dtype == .f32 else {
      throw RequestError.badLatents(found: state.latents.shape, expected: shape)
    }
    try sampler.recall(state.memory)
    while noise.draws < state.draws { _ = noise.draw() }
    return state.latents
  }

  /// What the model predicts at one step, of all branches that guidance and processors need.
  private func prediction(_ latents: Tensor, at level: NoiseLevel, _ denoiser: Denoiser<Positions>) -> Tensor {
    let plan = denoiser.plan, run = denoiser.run
    var outputs: [Pass.Branch: Tensor] = [:]
    func pass(_ text: EncodedPrompts, _ branch: Pass.Branch, skipping layers: Set<Int> = []) -> Tensor {
      run?.pass = Pass(level, branch: branch, grid: plan.grid, batch: latents.shape[0])
      let input = DenoiserInput(
        latents: latents, text: text, timestep: level.timestep, guidance: plan.guidance.distilled,
        skippedLayers: layers)
      let output = predict(input, denoiser.positions, hooks: run)
      outputs[branch] = output
      return output
    }
    let conditional = pass(denoiser.conditional, .conditional)
    var result = conditional
    if let guidance = plan.guidance.classifierFree, let negative = denoiser.unconditional {
      let unconditional = pass(negative, .unconditional)
      result = unconditional + (conditional - unconditional) * guidance.scale(at: level, steps: plan.steps)
      if let skip = plan.guidance.skipLayers, skip.acts(at: level.step, of: plan.steps) {
        let weaker = pass(denoiser.conditional, .skippingLayers, skipping: skip.layers)
        result = result + (conditional - weaker) * skip.scale
      }
    }
    guard let run else { return result }
    for extra in run.extraBranches { _ = pass(denoiser.conditional.replaced(by: extra), extra.branch) }
    return run.guided(result, outputs: outputs)
  }

  /// Pictures one by one: the autoencoder's activations are many times those of the transformer.
  ///
  /// - Returns: `[batch, frames, 3, height, width]` in 0 … 1
  private func decoded(_ latents: Tensor) -> Tensor {
    let unscaled = codec.unscaled(latents)
    let videos = (0..<latents.shape[0]).map { codec.frames(of: unscaled.narrow(0, from: $0, count: 1)) }
    return (concatenated(videos) * 0.5 + 0.5).clamped(min: 0, max: 1)
  }
}

/// What stays the same over the steps of a run.
private struct Denoiser<Positions> {
  let conditional: EncodedPrompts
  /// nil for no classifier-free guidance.
  let unconditional: EncodedPrompts?
  let plan: GenerationPlan
  let positions: Positions
  let run: HookRun?
}
