import Foundation
import NN
import Tensor

/// FLUX.1 from prompt to picture.
///
/// Source: diffusers `FluxPipeline`; the same seed gives the same noise, latents and picture.
public struct FluxPipeline: ImagePipeline {
  public let clipTokenizer, t5Tokenizer: any Tokenizer
  public let clip: CLIPTextEncoder
  public let t5: T5Encoder
  public let flux: FluxTransformer
  public var vae: AutoencoderKL
  public let scheduler: FlowMatchEulerScheduler
  public let defaults: PipelineDefaults

  public var transformer: any StreamModel & Sendable { flux }
  public var sizeMultiple: Int { 2 * vae.config.scale }

  public init(
    clipTokenizer: any Tokenizer, t5Tokenizer: any Tokenizer, clip: CLIPTextEncoder, t5: T5Encoder,
    flux: FluxTransformer, vae: AutoencoderKL, scheduler: FlowMatchEulerScheduler, defaults: PipelineDefaults = .init()
  ) {
    self.clipTokenizer = clipTokenizer
    self.t5Tokenizer = t5Tokenizer
    self.clip = clip
    self.t5 = t5
    self.flux = flux
    self.vae = vae
    self.scheduler = scheduler
    self.defaults = defaults
  }

  public func generate(
    _ request: GenerationRequest, processors: [any AttentionProcessor] = [],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws -> GenerationResult {
    let plan = try plan(request)
    let conditional = try encode(request.prompts, plan.sequenceLength)
    let unconditional = try plan.negativePrompt.map {
      try encode([String](repeating: $0, count: request.prompts.count), plan.sequenceLength)
    }
    var latents = try startingNoise(request, plan.grid)
    let schedule = try scheduler.schedule(
      sigmas: FlowMatchEulerScheduler.evenLevels(steps: plan.steps),
      dynamicShift: scheduler.dynamicShift(imageTokens: plan.grid.count))
    let run = try HookRun(processors, on: flux, pass: Pass(grid: plan.grid, batch: request.prompts.count))
    for step in 0..<plan.steps {
      let velocity = try velocity(
        latents, conditional, unconditional, step: step, schedule, plan, processors.isEmpty ? nil : run)
      latents = schedule.step(latents, velocity: velocity, index: step)
      try onStep(GenerationStep(done: step + 1, total: plan.steps, sigma: schedule.sigmas[step], latents: latents))
    }
    try run.finish()
    let image = vae.decode(vae.unscaled(unpacked(latents, plan.grid)))
    return GenerationResult(image: (image * 0.5 + 0.5).clamped(min: 0, max: 1), fired: run.fired)
  }

  public func observe(
    _ request: ObservationRequest, processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws {
    let plan = try plan(request)
    let clean = packed(encodePicture(try pixels(request, plan)))
    var text = try encode([request.prompt], plan.sequenceLength)
    if request.zeroesPooledText { text.pooled = Tensor(zeros: text.pooled.shape) }
    let positions = flux.positions(grid: plan.grid)
    let run = try HookRun(processors, on: flux, pass: Pass(grid: plan.grid))
    for sample in 0..<request.samples {
      var generator = Generator(seed: request.seed &+ UInt64(sample))
      let noise = noise(&generator, batch: 1, plan.grid, request.noiseType, packed: request.drawsPackedNoise)
      let noised = clean * (1 - plan.noiseLevel) + noise * plan.noiseLevel
      run.pass.step = 0
      run.pass.sigma = plan.noiseLevel
      run.pass.timestep = plan.noiseLevel * 1000
      flux.observe(
        .init(
          image: noised, text: text.states, pooled: text.pooled, timestep: [plan.noiseLevel],
          guidance: flux.config.guidanceEmbeds ? [plan.guidance] : nil, positions: positions), hooks: run)
      try onStep(
        GenerationStep(done: sample + 1, total: request.samples, sigma: plan.noiseLevel, latents: noised))
    }
    try run.finish()
  }

  // MARK: Denoising

  /// The velocity of one step; with a negative prompt, both branches.
  private func velocity(
    _ latents: Tensor, _ conditional: EncodedPrompts, _ unconditional: EncodedPrompts?, step: Int,
    _ schedule: FlowMatchSchedule, _ plan: Plan, _ run: HookRun?
  ) throws -> Tensor {
    let timestep = schedule.timesteps[step]
    func pass(_ text: EncodedPrompts, _ branch: Pass.Branch) -> Tensor {
      run?.pass = Pass(
        step: step, steps: plan.steps, sigma: schedule.sigmas[step], timestep: timestep, branch: branch,
        grid: plan.grid, batch: latents.shape[0])
      let batch = latents.shape[0]
      return flux(
        .init(
          image: latents, text: text.states, pooled: text.pooled,
          timestep: [Float](repeating: timestep / 1000, count: batch),
          guidance: flux.config.guidanceEmbeds ? [Float](repeating: plan.guidance, count: batch) : nil,
          positions: plan.positions), hooks: run)
    }
    let velocity = pass(conditional, .conditional)
    guard let unconditional else { return velocity }
    let negative = pass(unconditional, .unconditional)
    return negative + (velocity - negative) * plan.trueCFG
  }
}
