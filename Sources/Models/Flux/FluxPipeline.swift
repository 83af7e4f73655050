import NN
import Tensor

/// FLUX.1 from prompt to picture.
///
/// Source: diffusers `FluxPipeline`; the same seed gives the same noise, latents and picture.
public struct FluxPipeline: DenoisingPipeline {
  public let clip: TextEncoderPart<CLIPTextEncoder>
  public let t5: TextEncoderPart<T5Encoder>
  public let flux: FluxTransformer
  public var vae: AutoencoderKL
  public let scheduler: FlowMatchEulerScheduler
  public let defaults: PipelineDefaults
  public let weightMemory: WeightMemory

  public var denoiser: FluxTransformer { flux }
  public var promptWidths: (states: Int, pooled: Int) {
    (flux.config.jointAttentionDim, flux.config.pooledProjectionDim)
  }
  public var codec: AutoencoderKL { vae }
  public var sizeMultiple: Int { 2 * vae.config.scale }

  public init(
    clip: TextEncoderPart<CLIPTextEncoder>, t5: TextEncoderPart<T5Encoder>, flux: FluxTransformer, vae: AutoencoderKL,
    scheduler: FlowMatchEulerScheduler, defaults: PipelineDefaults = .init(), weightMemory: WeightMemory = .init()
  ) {
    self.clip = clip
    self.t5 = t5
    self.flux = flux
    self.vae = vae
    self.scheduler = scheduler
    self.defaults = defaults
    self.weightMemory = weightMemory
  }

  public var textEncoders: [any ReleasableEncoder] { [clip, t5] }

  /// 1024 px, and schnell's 4 steps or dev's 28 at guidance 3.5.
  public var settings: FamilySettings {
    let isDistilled = flux.config.guidanceEmbeds
    return FamilySettings(
      name: "FLUX.1", size: FrameSize(height: 1024, width: 1024), maximumSide: 8192, steps: isDistilled ? 28 : 4,
      guidance: isDistilled ? .distilled(3.5) : .none, sequenceLength: isDistilled ? 512 : 256,
      floatsPerToken: 14 * flux.config.dim)
  }

  public func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler {
    try scheduler.schedule(
      sigmas: FlowMatchEulerScheduler.evenLevels(steps: steps),
      dynamicShift: scheduler.dynamicShift(imageTokens: grid.count))
  }

  /// Two by two latents side by side make one token, `[batch, (height / 2) * (width / 2), channels * 4]`.
  public func packed(_ latents: Tensor) -> Tensor {
    latents.rearranged("b c (h p) (w q) -> b (h w) (c p q)", ["p": 2, "q": 2])
  }

  public func unpacked(_ tokens: Tensor, _ grid: TokenGrid) -> Tensor {
    tokens.rearranged("b (h w) (c p q) -> b c (h p) (w q)", ["h": grid.height, "w": grid.width, "p": 2, "q": 2])
  }

  public func positions(grid: TokenGrid) -> RotaryTable { flux.positions(grid: grid) }

  public func transformerInput(_ input: DenoiserInput, _ positions: RotaryTable) -> FluxTransformer.Input {
    let batch = input.latents.shape[0]
    return .init(
      image: input.latents, text: input.text.states, pooled: input.text.pooled,
      timestep: [Float](repeating: input.timestep, count: batch),
      guidance: input.guidance.map { [Float](repeating: $0, count: batch) },
      positions: positions)
  }
}
