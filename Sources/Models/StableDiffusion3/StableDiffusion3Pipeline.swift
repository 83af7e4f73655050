import NN
import Tensor

/// Stable Diffusion 3 and 3.5 from prompt to picture.
///
/// Source: diffusers `StableDiffusion3Pipeline`; the same seed gives the same noise, latents and picture.
public struct StableDiffusion3Pipeline: DenoisingPipeline {
  public let text: SD3TextEncoders
  public let sd3: SD3Transformer
  public var vae: AutoencoderKL
  public let scheduler: FlowMatchEulerScheduler
  public let defaults: PipelineDefaults
  public let weightMemory: WeightMemory

  public var denoiser: SD3Transformer { sd3 }
  public var promptWidths: (states: Int, pooled: Int) { (sd3.config.jointAttentionDim, sd3.config.pooledProjectionDim) }
  public var codec: AutoencoderKL { vae }
  public var sizeMultiple: Int { sd3.config.patchSize * vae.config.scale }

  public init(
    text: SD3TextEncoders, sd3: SD3Transformer, vae: AutoencoderKL, scheduler: FlowMatchEulerScheduler,
    defaults: PipelineDefaults = .init(), weightMemory: WeightMemory = .init()
  ) {
    self.text = text
    self.sd3 = sd3
    self.vae = vae
    self.scheduler = scheduler
    self.defaults = defaults
    self.weightMemory = weightMemory
  }

  /// 28 steps at guidance 7. The size is the one the model was made for; the largest is that of its position table.
  public var settings: FamilySettings {
    let side = sd3.config.sampleSize * vae.config.scale
    return FamilySettings(
      name: "Stable Diffusion 3", size: FrameSize(height: side, width: side),
      maximumSide: min(8192, sd3.config.posEmbedMaxSize * sizeMultiple), steps: 28, guidance: .classifierFree(7),
      sequenceLength: 256, floatsPerToken: (sd3.config.dualAttentionLayers.isEmpty ? 12 : 15) * sd3.config.dim,
      maximumClipSkip: text.maximumClipSkip, skipsLayers: true)
  }

  public func encode(
    _ prompts: [String], maxSequenceLength: Int, clipSkip: Int, hooks: HookRun?
  ) throws -> EncodedPrompts {
    try text(prompts, t5Length: maxSequenceLength, clipSkip: clipSkip, hooks: hooks)
  }

  public var textEncoders: [any ReleasableEncoder] {
    [text.clipL, text.clipG] + (text.t5.map { [$0] } ?? [])
  }

  public func expect(prompts: [String], phrases: [String], maxSequenceLength: Int, clipSkip: Int) throws {
    try text.expect(prompts: prompts, phrases: phrases, t5Length: maxSequenceLength, clipSkip: clipSkip)
  }

  public var encoderSites: [any StreamModel] { text.sites }

  public func tokens(of phrase: String, in prompt: String, maxSequenceLength: Int?) throws -> [Range<Int>] {
    try text.tokens(of: phrase, in: prompt, t5Length: sequenceLength(maxSequenceLength))
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase] {
    try text.phrases(phrases, t5Length: try sequenceLength(maxSequenceLength))
  }

  public func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler {
    try scheduler.schedule(steps: steps, dynamicShift: scheduler.dynamicShift(imageTokens: grid.count))
  }

  public func packed(_ latents: Tensor) -> Tensor { latents }
  public func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor { latents }

  /// Positions come with the patches.
  public func positions(grid: TokenGrid) {}

  public func transformerInput(_ input: DenoiserInput, _ positions: Void) -> SD3Transformer.Input {
    .init(
      latents: input.latents, text: input.text.states, pooled: input.text.pooled,
      timestep: [Float](repeating: input.timestep, count: input.latents.shape[0]), skippedLayers: input.skippedLayers)
  }
}
