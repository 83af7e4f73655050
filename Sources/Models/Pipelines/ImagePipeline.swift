import NN
import Tensor

/// What every model family offers: pictures from prompts, passes over existing pictures, and phrases as its text
/// encoder sees them.
public protocol ImagePipeline: Sendable {
  /// The transformer, for its blocks and sites.
  var transformer: any StreamModel & Sendable { get }
  /// Settings that suit this checkpoint.
  var defaults: PipelineDefaults { get }
  /// Width and height must be multiples of this.
  var sizeMultiple: Int { get }

  /// The request with everything filled in that the checkpoint or its family decides, so that it can be written down.
  ///
  /// - Throws: `RequestError` for a request that cannot be met
  func resolved(_ request: GenerationRequest) throws -> GenerationRequest
  func resolved(_ request: ObservationRequest) throws -> ObservationRequest

  /// The noise levels that the steps of a generation start from.
  ///
  /// - Throws: `RequestError`
  func noiseLevels(_ request: GenerationRequest) throws -> [Float]

  /// Roughly what tensors will hold at most.
  ///
  /// - Throws: `RequestError`
  func activationEstimate(_ request: GenerationRequest) throws -> ActivationEstimate

  /// Generates one picture per prompt.
  ///
  /// - Throws: `RequestError` for a request that cannot be met, `HookError`, and whatever `onStep` throws to stop
  func generate(
    _ request: GenerationRequest, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> GenerationResult

  /// Shows the transformer an existing picture, noised to each level, as far as the processors look.
  ///
  /// - Throws: as `generate`
  @discardableResult func observe(
    _ request: ObservationRequest, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> ObservationResult

  /// Encodes every phrase alone.
  func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase]
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
  /// Pooled vectors for the norms, `[batch, pooledDim]`.
  public var pooled: Tensor

  public init(states: Tensor, pooled: Tensor) {
    self.states = states
    self.pooled = pooled
  }
}

/// Settings that suit a checkpoint, from `concept_attention.json` in its folder; absent ones are the family's.
public struct PipelineDefaults: Sendable, Equatable, Decodable {
  public var width: Int?
  public var height: Int?
  public var steps: Int?
  public var guidance: Float?
  public var trueCFG: Float?
  public var maxSequenceLength: Int?
  /// Layers whose concept maps are best.
  public var layers: [Int]?
  /// Noise level for maps of existing pictures.
  public var noiseLevel: Float?

  enum CodingKeys: String, CodingKey {
    case width, height, steps, guidance, layers
    case trueCFG = "true_cfg"
    case maxSequenceLength = "max_sequence_length"
    case noiseLevel = "noise_level"
  }

  public init() {}
}
