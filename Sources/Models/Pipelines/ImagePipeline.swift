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

  /// Generates one picture per prompt.
  ///
  /// - Throws: `RequestError` for a request that cannot be met, `HookError`, and whatever `onStep` throws to stop
  func generate(
    _ request: GenerationRequest, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> GenerationResult

  /// Shows the transformer an existing picture, noised to a level, as far as the processors look.
  ///
  /// - Throws: as `generate`
  func observe(
    _ request: ObservationRequest, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws

  /// Encodes every phrase alone.
  func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase]
}

/// A phrase as the text encoder sees it.
public struct EncodedPhrase: Sendable {
  public let text: String
  /// Hidden states, padding included, `[tokens, dim]`.
  public let states: Tensor
  /// The tokens that spell the phrase, without special ones.
  public let span: Range<Int>
  /// Whether a token of the phrase is the vocabulary's "unknown".
  public let hasUnknown: Bool
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

/// What to generate.
public struct GenerationRequest: Sendable {
  /// One picture each.
  public var prompts: [String]
  /// nil for no classifier-free guidance; one for all pictures.
  public var negativePrompt: String?
  /// Pixels; nil for the checkpoint's default.
  public var width, height: Int?
  public var steps: Int?
  /// Scale told to a guidance-distilled model.
  public var guidance: Float?
  /// Scale of classifier-free guidance with the negative prompt; at most 1 means none.
  public var trueCFG: Float?
  public var seed: UInt64 = 0
  public var maxSequenceLength: Int?
  /// The element type noise is drawn in: PyTorch draws other numbers for `bf16` than for `f32`.
  public var noiseType: DType = .f32
  /// Packed starting noise instead of the seed's, `[batch, tokens, channels]`.
  public var latents: Tensor?

  public init(_ prompts: String...) { self.prompts = prompts }
}

/// An existing picture to look at.
public struct ObservationRequest: Sendable {
  /// `[height, width, 3]`, `u8`; resized to `width` × `height`.
  public var image: Tensor
  public var prompt: String = ""
  public var width, height: Int?
  /// How much noise, 0 … 1; nil for the checkpoint's default, else 0.5.
  public var noiseLevel: Float?
  /// Draws of noise; the seed of draw `i` is `seed + i`.
  public var samples = 1
  public var seed: UInt64 = 0
  /// Told to a guidance-distilled model; 0 unless given, as ConceptAttention's authors do.
  public var guidance: Float?
  /// Whether the norms are told a zero vector in place of the prompt's pooled one, as the authors' code does.
  public var zeroesPooledText = false
  public var maxSequenceLength: Int?
  public var noiseType: DType = .f32
  /// Draws noise for packed tokens (`[1, tokens, channels]`) rather than for latents; the numbers of a seed then lie
  /// elsewhere in the picture.
  public var drawsPackedNoise = false

  public init(image: Tensor) { self.image = image }
}

/// Where a run is, after every step.
public struct GenerationStep: Sendable {
  /// Steps done and steps in all.
  public let done, total: Int
  public let sigma: Float
  /// Packed latents after this step, `[batch, tokens, channels]`.
  public let latents: Tensor
}

public struct GenerationResult: Sendable {
  /// `[batch, 3, height, width]` in 0 … 1.
  public let image: Tensor
  /// How often processors were called, by site.
  public let fired: [Site: Int]

  /// One picture as bytes, `[height, width, 3]`.
  public func bytes(picture: Int = 0) -> Tensor {
    (image[picture].permuted(1, 2, 0) * 255).rounded().clamped(min: 0, max: 255).converted(to: .u8)
  }
}

/// A request that cannot be met.
public enum RequestError: Error, Equatable, CustomStringConvertible {
  case badSize(width: Int, height: Int, multiple: Int)
  case badSteps(Int)
  case badNoiseLevel(Float)
  case badSamples(Int)
  case badSequenceLength(Int, maximum: Int)
  case noPrompt
  case badImage(shape: [Int])
  case badLatents(found: [Int], expected: [Int])

  public var description: String {
    switch self {
    case .badSize(let width, let height, let multiple):
      "size \(width) × \(height): expected multiples of \(multiple) between \(multiple) and 8192"
    case .badSteps(let steps): "\(steps) steps: expected 1 to 1000"
    case .badNoiseLevel(let level): "noise level \(level): expected more than 0 and at most 1"
    case .badSamples(let samples): "\(samples) samples: expected at least 1"
    case .badSequenceLength(let length, let maximum): "sequence length \(length): expected 1 to \(maximum)"
    case .noPrompt: "no prompt"
    case .badImage(let shape): "picture of shape \(shape): expected [height, width, 3]"
    case .badLatents(let found, let expected): "latents of shape \(found): expected \(expected)"
    }
  }
}
