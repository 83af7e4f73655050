import NN
import Tensor

/// A family that turns noise into pictures along a straight flow, in the latents of an image autoencoder: FLUX.1 and
/// Stable Diffusion 3. It says how it encodes prompts and how its transformer is called; steps, guidance, pictures to
/// start from and passes over existing pictures come from here.
///
/// Source: diffusers `FluxPipeline`, `StableDiffusion3Pipeline` and their `Img2Img` forms; the same seed gives the same
/// noise, latents and picture.
public protocol FlowMatchPipeline: ImagePipeline {
  /// What the transformer needs to know of where its tokens stand.
  associatedtype Positions

  var vae: AutoencoderKL { get }
  var scheduler: FlowMatchEulerScheduler { get }
  var family: FamilySettings { get }
  /// What the text encoders' weights are mapped from. Released after prompts are encoded: they are not needed until the
  /// next run.
  var textWeights: [any WeightSource] { get }

  /// - Parameters:
  ///   - maxSequenceLength: tokens T5 is given, padding included
  ///   - clipSkip: see `GenerationRequest`
  /// - Throws: `TokenizerError`, `RequestError`
  func encode(_ prompts: [String], maxSequenceLength: Int, clipSkip: Int?) throws -> EncodedPrompts

  /// The noise levels of a run. Throws `SchedulerError`.
  func schedule(steps: Int, grid: TokenGrid) throws -> FlowMatchSchedule

  /// The autoencoder's latents, `[batch, channels, height, width]`, as the transformer takes them, and back.
  func packed(_ latents: Tensor) -> Tensor
  func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor

  func positions(grid: TokenGrid) -> Positions

  /// One pass of the transformer.
  ///
  /// - Returns: the velocity, of the shape of the latents
  func velocity(_ input: FlowInput, _ positions: Positions, hooks: HookRun?) -> Tensor

  /// One pass as far as the hooks look.
  func look(_ input: FlowInput, _ positions: Positions, hooks: HookRun)
}

/// What one pass of a flow's transformer is given.
public struct FlowInput: Sendable {
  /// Packed.
  public var latents: Tensor
  public var text: EncodedPrompts
  /// 0 … 1000.
  public var timestep: Float
  /// Told to a guidance-distilled model.
  public var guidance: Float
  /// Blocks that are passed over.
  public var skippedLayers: Set<Int> = []
}

/// What a family's pipelines take when neither the request nor the checkpoint says, and what they can do.
public struct FamilySettings: Sendable {
  public enum Guidance: Sendable {
    /// The model is told the scale.
    case distilled(Float)
    /// A scale of classifier-free guidance, away from the empty prompt unless a negative one is given.
    case classifierFree(Float)
  }

  /// As users know it.
  public var name: String
  /// Pixels along both sides, and the most there may be.
  public var size, maximumSize: Int
  public var steps: Int
  public var guidance: Guidance
  public var sequenceLength: Int
  /// How many numbers a pass holds at most per token, image and text: measured, in widths of the model.
  public var floatsPerToken: Int
  public var longestSequence = 512
  /// The most of CLIP's layers a prompt can leave out; nil when prompts don't have CLIP's states.
  public var maximumClipSkip: Int?
  /// Whether blocks can be passed over.
  public var skipsLayers = false
}

extension FlowMatchPipeline {
  public func generate(
    _ request: GenerationRequest, processors: [any AttentionProcessor] = [],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws -> GenerationResult {
    let plan = try plan(request)
    let run = try HookRun(
      processors, on: transformer, pass: Pass(steps: plan.steps, grid: plan.grid, batch: request.prompts.count))
    let schedule = try schedule(steps: plan.steps, grid: plan.grid)
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let flow = Flow(
      conditional: try encode(request.prompts, maxSequenceLength: plan.sequenceLength, clipSkip: request.clipSkip),
      unconditional: try plan.negativePrompt.map {
        let prompts = [String](repeating: $0, count: request.prompts.count)
        return try encode(prompts, maxSequenceLength: plan.sequenceLength, clipSkip: nil)
      },
      schedule: schedule, plan: plan, positions: positions(grid: plan.grid), run: processors.isEmpty ? nil : run)
    var latents = try startingLatents(request, plan, schedule)
    for weights in textWeights { weights.release() }
    seconds.encoding = watch.lap()
    for step in plan.firstStep..<plan.steps {
      latents = schedule.step(latents, velocity: velocity(latents, step: step, flow), index: step)
      try onStep(
        GenerationStep(
          done: step - plan.firstStep + 1, total: plan.steps - plan.firstStep, sigma: schedule.sigmas[step],
          latents: latents))
    }
    try run.finish()
    seconds.transformer = watch.lap()
    let image = decoded(vae.unscaled(unpacked(latents, plan.grid)))
    seconds.decoding = watch.lap()
    return GenerationResult(image: image, fired: run.fired, seconds: seconds)
  }

  @discardableResult public func observe(
    _ request: ObservationRequest, processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws -> ObservationResult {
    let plan = try plan(request), levels = plan.noiseLevels
    let run = try HookRun(processors, on: transformer, pass: Pass(steps: 1, grid: plan.grid))
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let clean = packed(encodePicture(try pixels(request.image, plan, filter: .bicubic)))
    var text = try encode([request.prompt], maxSequenceLength: plan.sequenceLength, clipSkip: nil)
    if request.zeroesPooledText { text.pooled = Tensor(zeros: text.pooled.shape) }
    for weights in textWeights { weights.release() }
    seconds.encoding = watch.lap()
    let positions = positions(grid: plan.grid)
    for sample in 0..<request.samples {
      var generator = Generator(seed: request.seed &+ UInt64(sample))
      let noise = noise(&generator, batch: 1, plan, request.noiseType, packed: request.drawsPackedNoise)
      for (index, level) in levels.enumerated() {
        let noised = clean * (1 - level.sigma) + noise * level.sigma
        let timestep = level.sigma * 1000
        run.pass = Pass(step: level.step, steps: 1, sigma: level.sigma, timestep: timestep, grid: plan.grid)
        look(
          FlowInput(latents: noised, text: text, timestep: timestep, guidance: plan.guidance), positions, hooks: run)
        let done = sample * levels.count + index + 1, total = request.samples * levels.count
        try onStep(GenerationStep(done: done, total: total, sigma: level.sigma, latents: noised))
      }
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return ObservationResult(fired: run.fired, seconds: seconds)
  }

  /// Pictures one by one: the autoencoder's activations are many times those of the transformer.
  ///
  /// - Returns: `[batch, 3, height, width]` in 0 … 1
  private func decoded(_ latents: Tensor) -> Tensor {
    let pictures = (0..<latents.shape[0]).map { vae.decode(latents.narrow(0, from: $0, count: 1)) }
    return (concatenated(pictures) * 0.5 + 0.5).clamped(min: 0, max: 1)
  }

  /// The velocity of one step, of all branches that guidance needs.
  private func velocity(_ latents: Tensor, step: Int, _ flow: Flow<Positions>) -> Tensor {
    let plan = flow.plan, timestep = flow.schedule.timesteps[step]
    func pass(_ text: EncodedPrompts, _ branch: Pass.Branch, skipping layers: Set<Int> = []) -> Tensor {
      flow.run?.pass = Pass(
        step: step, steps: plan.steps, sigma: flow.schedule.sigmas[step], timestep: timestep, branch: branch,
        grid: plan.grid, batch: latents.shape[0])
      let input = FlowInput(
        latents: latents, text: text, timestep: timestep, guidance: plan.guidance, skippedLayers: layers)
      return velocity(input, flow.positions, hooks: flow.run)
    }
    let conditional = pass(flow.conditional, .conditional)
    guard let negative = flow.unconditional else { return conditional }
    let unconditional = pass(negative, .unconditional)
    let guided = unconditional + (conditional - unconditional) * plan.scale
    guard let skip = plan.skipLayers, skip.acts(at: step, of: plan.steps) else { return guided }
    return guided + (conditional - pass(flow.conditional, .skippingLayers, skipping: skip.layers)) * skip.scale
  }
}

/// What stays the same over the steps of a run.
private struct Flow<Positions> {
  let conditional: EncodedPrompts
  /// nil for no classifier-free guidance.
  let unconditional: EncodedPrompts?
  let schedule: FlowMatchSchedule
  let plan: FlowPlan
  let positions: Positions
  let run: HookRun?
}
