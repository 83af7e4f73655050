import NN
import Tensor
import Tokenizers

/// CogVideoX from prompt to video.
///
/// A transformer whose input has twice the channels of its output continues a picture: the picture's latents lie behind the
/// channels of the noisy ones (`GenerationRequest.startingImage`).
///
/// Source: diffusers `CogVideoXPipeline`, `CogVideoXImageToVideoPipeline`; the same seed gives the same noise, latents and
/// video. The video may have more frames than were asked for: latents come in whole frames, each four frames of video but
/// for a first one.
public struct CogVideoXPipeline: DenoisingPipeline {
  public let t5: TextEncoderPart<T5Encoder>
  public let cogVideoX: CogVideoXTransformer
  public var vae: AutoencoderKLCogVideoX
  public let scheduler: CogVideoXScheduler
  public let defaults: PipelineDefaults
  public let weightMemory: WeightMemory

  public var denoiser: CogVideoXTransformer { cogVideoX }
  public var promptWidths: (states: Int, pooled: Int) { (cogVideoX.config.textEmbedDim, 0) }
  public var codec: AutoencoderKLCogVideoX { vae }
  public var sizeMultiple: Int { cogVideoX.config.patchSize * vae.config.scale }
  private var temporalPatch: Int { cogVideoX.config.temporalPatchSize ?? 1 }

  public init(
    t5: TextEncoderPart<T5Encoder>, cogVideoX: CogVideoXTransformer, vae: AutoencoderKLCogVideoX,
    scheduler: CogVideoXScheduler, defaults: PipelineDefaults = .init(), weightMemory: WeightMemory = .init()
  ) {
    self.t5 = t5
    self.cogVideoX = cogVideoX
    self.vae = vae
    self.scheduler = scheduler
    self.defaults = defaults
    self.weightMemory = weightMemory
  }

  /// The size the model was made for, 50 steps at guidance 6.
  public var settings: FamilySettings {
    let config = cogVideoX.config, length = config.maxTextSequenceLength
    return FamilySettings(
      name: "CogVideoX", size: standardSize, maximumSide: 4096, steps: 50, guidance: .classifierFree(6),
      sequenceLength: length, floatsPerToken: 12 * config.dim,
      longestSequence: config.positions == .rotaryAndLearned ? length : max(512, length),
      hasDynamicGuidance: true, imageUse: config.takesImage ? .firstFrame : .noised,
      framesPerSecond: temporalPatch > 1 ? 16 : 8)
  }

  /// Of the configuration, but for CogVideoX 1.5, whose sample size is the most that its positions reach to: 1360 × 768, as
  /// its authors make videos.
  private var standardSize: FrameSize {
    let config = cogVideoX.config, scale = vae.config.scale
    var size = FrameSize(
      frames: config.sampleFrames, height: config.sampleHeight * scale, width: config.sampleWidth * scale)
    if config.temporalPatchSize != nil {
      func whole(_ side: Int) -> Int { side / sizeMultiple * sizeMultiple }
      (size.height, size.width) = (min(size.height, whole(768)), min(size.width, whole(1360)))
    }
    return size
  }

  public func grid(_ size: FrameSize) throws -> TokenGrid {
    guard (1...1024).contains(size.frames) else { throw RequestError.badFrames(size.frames, expected: "1 to 1024") }
    let shape = latentShape(size, batch: 1), config = cogVideoX.config
    if config.positions == .rotaryAndLearned, [shape[3], shape[4]] != [config.sampleHeight, config.sampleWidth] {
      throw RequestError.fixedSize(width: size.width, height: size.height, expected: standardSize)
    }
    return cogVideoX.grid(frames: shape[1], height: shape[3], width: shape[4])
  }

  /// T5 sees padding as diffusers' pipeline shows it, without a mask.
  public func encode(
    _ prompts: [String], maxSequenceLength: Int, clipSkip: Int, hooks: HookRun?
  ) throws -> EncodedPrompts {
    EncodedPrompts(
      states: try t5.codes(prompts, length: maxSequenceLength, .states, hooks: hooks, family: "t5").states,
      pooled: Tensor(zeros: [prompts.count, 0]))
  }

  public var textEncoders: [any ReleasableEncoder] { [t5] }

  public func expect(prompts: [String], phrases: [String], maxSequenceLength: Int, clipSkip: Int) throws {
    try t5.expect(prompts + phrases, length: maxSequenceLength, .states)
  }

  public var encoderSites: [any StreamModel] { [TextEncoderSites("t5", layers: t5.config.layers)] }

  public func tokens(of phrase: String, in prompt: String, maxSequenceLength: Int?) throws -> [Range<Int>] {
    try t5.tokenizer.encode(prompt, maxLength: sequenceLength(maxSequenceLength)).tokens(of: phrase)
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase] {
    try t5.phrases(phrases, maxLength: sequenceLength(maxSequenceLength))
  }

  public func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler { try scheduler.sampler(steps: steps) }

  // MARK: Latents

  /// Whole temporal patches: CogVideoX 1.5 denoises up to one frame of latents more than is decoded.
  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] {
    var shape = codec.latentShape(size, batch: batch)
    shape[1] = (shape[1] + temporalPatch - 1) / temporalPatch * temporalPatch
    return shape
  }

  /// Latents of an existing video are filled up in front, where `trimmed` takes away.
  public func packed(_ latents: Tensor) -> Tensor {
    let missing = (temporalPatch - latents.shape[1] % temporalPatch) % temporalPatch
    if missing == 0 { return latents }
    let first = latents.narrow(1, from: 0, count: 1)
    return concatenated([Tensor](repeating: first, count: missing) + [latents], axis: 1)
  }

  /// The picture in the first frame, and nothing in the others.
  public func imageLatents(_ picture: Tensor, _ size: FrameSize) -> Tensor {
    var shape = latentShape(size, batch: picture.shape[0])
    let scale = vae.config.scalingFactor, scaled = picture * (vae.config.invertsImageScale ? 1 / scale : scale)
    shape[1] -= 1
    return shape[1] == 0 ? scaled : concatenated([scaled, Tensor(zeros: shape)], axis: 1)
  }

  public func resultFrames(_ planned: Int) -> Int { codec.frames(ofLatents: codec.latentFrames(of: planned)) }

  public func gridFrames(_ size: FrameSize) -> [Int] {
    let latents = codec.latentFrames(of: size.frames),
      missing = (temporalPatch - latents % temporalPatch) % temporalPatch
    return codec.latentFrames(ofEach: size.frames).map { ($0 + missing) / temporalPatch }
  }

  public func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor { latents }

  public func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor {
    let frames = codec.latentShape(size, batch: 1)[1]
    return latents.narrow(1, from: latents.shape[1] - frames, count: frames)
  }

  // MARK: Transformer

  public func positions(grid: TokenGrid) -> CogVideoXPositions {
    let patch = cogVideoX.config.patchSize
    return cogVideoX.positions(
      frames: grid.frames * temporalPatch, height: grid.height * patch, width: grid.width * patch)
  }

  public func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: DenoiserInput, _ positions: CogVideoXPositions, pass: Pass,
    processors: [any AttentionProcessor]
  ) throws -> PassGradient {
    var result = try cogVideoX.gradient(
      of: scalar, at: places, transformerInput(input, positions), pass: pass, processors: processors)
    // Without the channels of the picture behind them.
    result.latents = result.latents?.narrow(2, from: 0, count: input.latents.shape[2])
    return result
  }

  public func transformerInput(
    _ input: DenoiserInput, _ positions: CogVideoXPositions
  ) -> CogVideoXTransformer.Input {
    let latents = input.image.map { concatenated([input.latents, $0], axis: 2) } ?? input.latents
    return .init(
      latents: latents, text: input.text.states,
      timestep: [Float](repeating: input.timestep, count: input.latents.shape[0]), positions: positions)
  }
}
