import NN
import Tensor

/// What every model family offers: pictures or videos from prompts, passes over existing ones, and phrases as its text
/// encoder sees them. A picture is a video of one frame.
///
/// A request is first made a plan, in which everything is decided; the plan is what runs, and what can be written down.
public protocol DiffusionPipeline: Sendable {
  /// The transformer, for its blocks and sites.
  var transformer: any StreamModel { get }
  /// The text encoders' blocks and sites, such as `t5.3.text.residualOutput`. Processors of a run reach them by name: they see
  /// the prompt in the conditional branch, the negative one in the unconditional, before the first step.
  var encoderSites: [any StreamModel] { get }
  /// What the family takes when neither the request nor the checkpoint says, and what it can do.
  var settings: FamilySettings { get }
  /// Settings that suit this checkpoint.
  var defaults: PipelineDefaults { get }
  /// Width and height must be multiples of this.
  var sizeMultiple: Int { get }

  /// Decides everything that a request leaves open.
  ///
  /// - Throws: `RequestError` for a request that cannot be met, `SchedulerError`
  func plan(_ request: GenerationRequest) throws -> GenerationPlan
  func plan(_ request: InspectionRequest) throws -> InspectionPlan

  /// Frames of the result when so many are planned: as many, or more where a family makes them in groups.
  func resultFrames(_ planned: Int) -> Int

  /// The frame of the token grid, and so of the maps, that each frame of a video of this size belongs to.
  ///
  /// - Parameter size: as the result has it, which may be more frames than were planned
  func gridFrames(_ size: FrameSize) -> [Int]

  /// Roughly what tensors will hold at most.
  func activationEstimate(_ plan: GenerationPlan) -> ActivationEstimate

  /// Roughly what text encoders hold at most beside their weights while a plan's prompts and some phrases are encoded, in
  /// bytes.
  func encodingEstimate(_ plan: GenerationPlan, phrases: Int) -> Int

  /// Roughly how long a run will take on this machine, by a short measurement.
  func timeEstimate(_ plan: GenerationPlan) throws -> TimeEstimate

  /// Generates one picture or video per prompt, with latents that may be changed after every step. (`generate` is the same
  /// without.)
  ///
  /// - Parameters:
  ///   - state: where an earlier run of the same plan stood; nil to begin. Processors see the steps that are left.
  ///   - changingLatents: called after every step; returns the latents to go on with, nil for those of the step. The step's
  ///     `state` has them as they were.
  /// - Throws: `RequestError` for what only shows while it runs, `HookError`, whatever `changingLatents` throws to stop, and
  ///   `CancellationError`, within a block, when the task it runs in is cancelled
  func denoise(
    _ plan: GenerationPlan, processors: [any AttentionProcessor], resuming state: GenerationState?,
    changingLatents: (GenerationStep) throws -> Tensor?
  ) throws -> GenerationResult

  /// Shows the transformer an existing picture or video, noised to each level, as far as the processors look.
  ///
  /// - Throws: as `denoise`
  @discardableResult func inspect(
    _ plan: InspectionPlan, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult

  /// One pass of a generation, to run again and again with other latents, prompts or processors, and to take gradients
  /// through.
  ///
  /// - Parameters:
  ///   - step: of the plan's schedule
  ///   - latents: what the step starts from, as the transformer takes latents; nil for what the plan's own steps before it
  ///     make, which then run
  /// - Throws: as `generate`
  func denoiserPass(_ plan: GenerationPlan, step: Int, latents: Tensor?) throws -> DenoiserPass

  /// Pictures or videos from latents as the transformer takes them, such as those that a lens gives.
  ///
  /// - Parameter plan: whose size they have
  /// - Returns: `[batch, frames, 3, height, width]` in 0 … 1, as in a `GenerationResult`
  func frames(ofLatents latents: Tensor, _ plan: GenerationPlan) -> Tensor

  /// Latents as the transformer takes them, of one picture or video, without noise: the mean of what the autoencoder
  /// makes of it.
  ///
  /// - Parameter frames: `[frames, height, width, 3]`, `u8`, sides multiples of `sizeMultiple`
  func latents(ofFrames frames: Tensor) -> Tensor

  /// Shows the transformer every step of a generation again, as far as the processors look: what they see of passes with
  /// the prompt is what they would have seen then, to the bit. No other branch of guidance runs, nothing is decoded, and no
  /// block after the last that a processor wants anything of.
  ///
  /// - Parameters:
  ///   - plan: of the generation
  ///   - latents: those its steps started from (`GenerationStep.before`), one each
  /// - Throws: as `denoise`
  @discardableResult func revisit(
    _ plan: GenerationPlan, latents: [Tensor], processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult

  /// A small picture of latents on their way, to look at while a run goes on: the first picture's first frame, decoded from
  /// latents that are shrunk first, so that it takes a fraction of what decoding takes.
  ///
  /// - Parameters:
  ///   - latents: as the transformer takes them; `GenerationStep.clean` shows most
  ///   - side: the most pixels along the longer side
  /// - Returns: `[height, width, 3]`, `u8`
  func preview(_ latents: Tensor, _ plan: GenerationPlan, side: Int) -> Tensor

  /// What a generation's prompts, and phrases to look for in it, will be encoded together with the first of them that is:
  /// the text encoders' weights are then read once for all. Nothing is encoded yet.
  ///
  /// - Throws: `TokenizerError`
  func expect(_ plan: GenerationPlan, phrases: [String]) throws

  /// The same of single prompts and phrases.
  func expect(prompts: [String], phrases: [String], maxSequenceLength: Int, clipSkip: Int) throws

  /// The memory that the transformer's weights are given.
  var weightMemory: WeightMemory { get }

  /// Prompts as the transformer is given them, for a request's `encodedPrompts` or a branch of one's own.
  ///
  /// - Parameters:
  ///   - maxSequenceLength: nil for what suits the checkpoint
  ///   - clipSkip: see `GenerationRequest`
  func encode(_ prompts: [String], maxSequenceLength: Int?, clipSkip: Int) throws -> EncodedPrompts

  /// Encodes every phrase alone.
  ///
  /// - Parameter maxSequenceLength: nil for what suits the checkpoint
  func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase]

  /// Where a phrase stands in a prompt: positions in the text stream, one range for every time it occurs and every text
  /// encoder whose tokens are in the stream; empty when it does not occur.
  ///
  /// - Parameter maxSequenceLength: nil for what suits the checkpoint
  func tokens(of phrase: String, in prompt: String, maxSequenceLength: Int?) throws -> [Range<Int>]
}

extension DiffusionPipeline {
  public func expect(_ plan: GenerationPlan, phrases: [String]) throws {}
  public func expect(prompts: [String], phrases: [String], maxSequenceLength: Int, clipSkip: Int) throws {}
  public var weightMemory: WeightMemory { .init() }
  public func encodingEstimate(_ plan: GenerationPlan, phrases: Int) -> Int { 0 }
  public var encoderSites: [any StreamModel] { [] }

  public func encode(_ prompts: [String]) throws -> EncodedPrompts {
    try encode(prompts, maxSequenceLength: nil, clipSkip: 0)
  }

  /// Generates one picture or video per prompt.
  ///
  /// - Parameters:
  ///   - state: where an earlier run of the same plan stood; nil to begin
  ///   - onStep: called after every step; throws to stop
  public func generate(
    _ plan: GenerationPlan, processors: [any AttentionProcessor], resuming state: GenerationState?,
    onStep: (GenerationStep) throws -> Void
  ) throws -> GenerationResult {
    try denoise(plan, processors: processors, resuming: state) { step in
      try onStep(step)
      return nil
    }
  }

  /// Plans and generates, with latents that may be changed after every step.
  ///
  /// - Parameter changingLatents: returns the latents to go on with, nil for those of the step
  public func denoise(
    _ request: GenerationRequest, processors: [any AttentionProcessor] = [],
    changingLatents: (GenerationStep) throws -> Tensor?
  ) throws -> GenerationResult {
    try denoise(plan(request), processors: processors, resuming: nil, changingLatents: changingLatents)
  }

  public func resultFrames(_ planned: Int) -> Int { planned }

  /// Of pictures: the one there is.
  public func gridFrames(_ size: FrameSize) -> [Int] { [Int](repeating: 0, count: size.frames) }

  public func generate(
    _ plan: GenerationPlan, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> GenerationResult {
    try generate(plan, processors: processors, resuming: nil, onStep: onStep)
  }

  /// Plans and generates.
  public func generate(
    _ request: GenerationRequest, processors: [any AttentionProcessor] = [],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws -> GenerationResult {
    try generate(plan(request), processors: processors, onStep: onStep)
  }

  public func generate(_ plan: GenerationPlan, processors: [any AttentionProcessor] = []) throws -> GenerationResult {
    try generate(plan, processors: processors) { _ in }
  }

  /// Plans and looks.
  @discardableResult public func inspect(
    _ request: InspectionRequest, processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void = { _ in }
  ) throws -> InspectionResult {
    try inspect(plan(request), processors: processors, onStep: onStep)
  }

  @discardableResult public func inspect(
    _ plan: InspectionPlan, processors: [any AttentionProcessor]
  ) throws -> InspectionResult {
    try inspect(plan, processors: processors) { _ in }
  }

  public func encodePhrases(_ phrases: [String]) throws -> [EncodedPhrase] {
    try encodePhrases(phrases, maxSequenceLength: nil)
  }
}

/// What a family's pipelines take when neither the request nor the checkpoint says, and what they can do.
public struct FamilySettings: Sendable {
  public enum Guidance: Sendable {
    /// The model knows no guidance of its own; classifier-free guidance is off unless asked for.
    case none
    /// The model is told the scale.
    case distilled(Float)
    /// A scale of classifier-free guidance, away from the empty prompt unless a negative one is given.
    case classifierFree(Float)
  }

  /// What the model does with a picture to start from.
  public enum ImageUse: String, Sendable {
    /// Its latents take the place of noise alone: image-to-image.
    case noised
    /// Videos begin with it. The model is shown it in every step and cannot do without: image-to-video.
    case firstFrame
  }

  /// As users know it.
  public var name: String
  /// Of a picture or video, and the most pixels along both sides.
  public var size: FrameSize
  public var maximumSide: Int
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
  /// Whether the scale of guidance can follow the timestep.
  public var hasDynamicGuidance = false
  public var imageUse = ImageUse.noised
  /// Of the videos it makes.
  public var framesPerSecond: Double = 1
}

/// A phrase as the text encoder sees it.
public struct EncodedPhrase: Sendable {
  public let text: String
  /// As the transformer is given it, padding included, `[tokens, dim]`.
  public let states: Tensor
  /// The tokens that spell the phrase, without special ones: one range per text encoder whose tokens `states` has.
  public let spans: [Range<Int>]
  /// Whether a token of the phrase is the vocabulary's "unknown".
  public let hasUnknown: Bool

  public init(text: String, states: Tensor, spans: [Range<Int>], hasUnknown: Bool) {
    self.text = text
    self.states = states
    self.spans = spans
    self.hasUnknown = hasUnknown
  }
}

/// Prompts as a transformer is given them.
public struct EncodedPrompts: Sendable {
  /// Hidden states of the text encoders, `[batch, tokens, dim]`.
  public var states: Tensor
  /// Pooled vectors for the norms, `[batch, pooledDim]`; `[batch, 0]` in a family without them.
  public var pooled: Tensor

  public init(states: Tensor, pooled: Tensor) {
    self.states = states
    self.pooled = pooled
  }
}
