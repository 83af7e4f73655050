import NN
import Tensor

/// An existing picture or video to look at.
public struct InspectionRequest: Sendable {
  /// `[frames, height, width, 3]`, `u8`; resized to `width` × `height`.
  public var frames: Tensor
  public var prompt: String = ""
  public var width, height: Int?
  /// One pass each per draw of noise.
  public var noise = Noise.standard
  /// Draws of noise; the seed of draw `i` is `seed + i`.
  public var samples = 1
  public var seed: UInt64 = 0
  /// Told to a guidance-distilled model; 0 unless given, as ConceptAttention's authors do.
  public var guidance: Float?
  /// Whether the norms are told a zero vector in place of the prompt's pooled one, as the authors' code does.
  public var zeroesPooledText = false
  public var maxSequenceLength: Int?
  public var noiseType: DType = .f32
  /// Draws noise in the shape the transformer takes latents in, which for FLUX are packed tokens
  /// (`[1, tokens, channels]`): the numbers of a seed then lie elsewhere in the picture.
  public var drawsPackedNoise = false

  /// How much noise is mixed in.
  public enum Noise: Sendable, Equatable {
    /// The checkpoint's own level, else 0.5.
    case standard
    /// Levels above 0 and at most 1.
    case levels([Float])
    /// The levels of some steps of a generation, counted from 0; nil for the steps it takes unless told otherwise.
    case steps([Int], of: Int?)
  }

  /// - Parameter image: `[height, width, 3]`, `u8`
  public init(image: Tensor) { self.init(frames: image.unsqueezed(0)) }

  /// - Parameter frames: `[frames, height, width, 3]`, `u8`
  public init(frames: Tensor) { self.frames = frames }
}
