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
  associatedtype Transformer: JointTransformer
  /// What the transformer needs to know of where its tokens stand.
  associatedtype Positions

  var codec: Codec { get }
  /// `transformer`, by its own type.
  var denoiser: Transformer { get }
  /// Released after prompts are encoded: they are not needed until the next run.
  var textEncoders: [any ReleasableEncoder] { get }

  /// The widths of encoded prompts: of the text encoders' states and of the pooled vectors, 0 without those.
  var promptWidths: (states: Int, pooled: Int) { get }

  /// How image tokens tile a picture or video.
  ///
  /// - Throws: `RequestError` for a number of frames that the family does not have
  func grid(_ size: FrameSize) throws -> TokenGrid

  /// - Parameters:
  ///   - maxSequenceLength: tokens T5 is given, padding included
  ///   - clipSkip: see `GenerationRequest`
  ///   - hooks: whose processors see the encoders' blocks (`encoderSites`); nil for nobody
  /// - Throws: `TokenizerError`, `RequestError`
  func encode(
    _ prompts: [String], maxSequenceLength: Int, clipSkip: Int, hooks: HookRun?
  ) throws -> EncodedPrompts

  /// The schedule and solver of a run. Throws `SchedulerError`.
  func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler

  /// The shape of latents, in the layout that noise is drawn in: the codec's, unless the transformer needs more frames.
  func latentShape(_ size: FrameSize, batch: Int) -> [Int]

  /// The codec's latents as the transformer takes them, and back.
  func packed(_ latents: Tensor) -> Tensor
  func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor

  /// Latents without the frames that only the transformer needed, for the codec.
  func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor

  /// What the transformer is shown in every pass beside the noisy latents, of a picture that the video begins with:
  /// packed. Asked for where `settings.imageUse` is `.firstFrame`.
  ///
  /// - Parameter picture: one frame of the codec's latents, as its encoder gives them
  func imageLatents(_ picture: Tensor, _ size: FrameSize) -> Tensor

  func positions(grid: TokenGrid) -> Positions

  /// What the transformer is given for one pass. What it makes of it (the velocity, the noise) has the shape of the latents,
  /// and the sampler steps with it.
  func transformerInput(_ input: DenoiserInput, _ positions: Positions) -> Transformer.Input

  /// One pass, gone through backwards: see `DifferentiableModel.gradient(of:at:_:pass:processors:)`.
  func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: DenoiserInput, _ positions: Positions, pass: Pass,
    processors: [any AttentionProcessor]
  ) throws -> PassGradient
}

/// What one pass of a denoiser is given.
public struct DenoiserInput: Sendable {
  /// Packed.
  public var latents: Tensor
  /// Of the picture that the video begins with; nil without one.
  public var image: Tensor?
  public var text: EncodedPrompts
  /// 0 … 1000.
  public var timestep: Float
  /// Told to a guidance-distilled model; nil for a model that is told nothing.
  public var guidance: Float?
  /// Blocks that are passed over.
  public var skippedLayers: Set<Int> = []
}

extension DenoisingPipeline where Transformer: DifferentiableModel {
  public func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: DenoiserInput, _ positions: Positions, pass: Pass,
    processors: [any AttentionProcessor]
  ) throws -> PassGradient {
    try denoiser.gradient(
      of: scalar, at: places, transformerInput(input, positions), pass: pass, processors: processors)
  }
}

extension DenoisingPipeline {
  public var transformer: any StreamModel { denoiser }

  public func expect(_ plan: GenerationPlan, phrases: [String]) throws {
    var prompts = plan.encodedPrompts == nil ? plan.prompts : []
    // A negative prompt is read to CLIP's last layer but one, whatever the prompt skips.
    if let guidance = plan.guidance.classifierFree, plan.encodedNegative == nil, plan.clipSkip == 0 {
      prompts.append(guidance.negativePrompt)
    }
    try expect(
      prompts: prompts, phrases: phrases, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip)
  }

  public func encode(
    _ prompts: [String], maxSequenceLength: Int?, clipSkip: Int = 0
  ) throws -> EncodedPrompts {
    try encode(
      prompts, maxSequenceLength: sequenceLength(maxSequenceLength), clipSkip: clipSkip, hooks: nil)
  }

  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] { codec.latentShape(size, batch: batch) }

  public func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor { latents }

  public func imageLatents(_ picture: Tensor, _ size: FrameSize) -> Tensor { packed(codec.scaled(picture)) }

  /// Of pictures: one frame.
  public func grid(_ size: FrameSize) throws -> TokenGrid {
    if size.frames != 1 { throw RequestError.badFrames(size.frames, expected: "1: \(settings.name) makes pictures") }
    return TokenGrid(height: size.height / sizeMultiple, width: size.width / sizeMultiple)
  }

  /// What the transformer makes of passes that go through its blocks together.
  ///
  /// - Parameter cache: of blocks whose output hardly changes from step to step; nil to compute them all
  func predict(_ passes: [ModelPass<DenoiserInput>], _ positions: Positions, cache: BlockCache?) -> [Tensor] {
    denoiser(passes.map { $0.with(transformerInput($0.input, positions)) }, cache: cache)
  }

  func hookRun(_ processors: [any AttentionProcessor], passes: [Pass]) throws -> HookRun? {
    guard !processors.isEmpty, let first = passes.first else { return nil }
    return try HookRun(processors, on: transformer, encoders: encoderSites, pass: first, passes: passes)
  }

  func releaseTextEncoders() {
    for encoder in textEncoders { encoder.release() }
    Memory.trim()
  }
}
