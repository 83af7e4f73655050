import Glibc
import Tensor

/// Sines and cosines of a number at geometrically spaced frequencies.
///
/// Source: diffusers `get_timestep_embedding`.
///
/// - Parameters:
///   - timesteps: `[batch]`, in the model's units
///   - flipSinToCos: cosines first
///   - frequencyShift: diffusers' `downscale_freq_shift`
/// - Returns: `[batch, dim]`; an odd `dim` ends in a zero
public func timestepEmbedding(
  _ timesteps: [Float], dim: Int, flipSinToCos: Bool = true, frequencyShift: Float = 0, maxPeriod: Float = 10000
) -> Tensor {
  let half = dim / 2
  let frequencies = (0..<half).map { expf(-logf(maxPeriod) * Float($0) / (Float(half) - frequencyShift)) }
  var values: [Float] = []
  for timestep in timesteps {
    let angles = frequencies.map { timestep * $0 }
    let sines = angles.map { sinf($0) }, cosines = angles.map { cosf($0) }
    values += flipSinToCos ? cosines + sines : sines + cosines
    if dim % 2 == 1 { values.append(0) }
  }
  return Tensor(values, shape: [timesteps.count, dim])
}

/// Two linear layers with a SiLU between: from sines to the model's width.
///
/// Source: diffusers `TimestepEmbedding`, `PixArtAlphaTextProjection`.
public struct EmbeddingMLP: Sendable {
  public var first, second: Linear

  public init(_ inputs: Int, _ dim: Int, _ w: Weights) {
    first = Linear(inputs, dim, w["linear_1"])
    second = Linear(dim, dim, w["linear_2"])
  }

  /// - Parameter x: `[batch, inputs]`
  public func callAsFunction(_ x: Tensor) -> Tensor { second(first(x, activation: .silu)) }
}

/// What the adaptive norms are told: embeddings of timestep, pooled text and, in guidance-distilled models, the
/// guidance scale, added up.
///
/// Source: diffusers `CombinedTimestepTextProjEmbeddings`, `CombinedTimestepGuidanceTextProjEmbeddings`.
public struct TimestepTextEmbedding: Sendable {
  public var timestepEmbedder: EmbeddingMLP
  public var guidanceEmbedder: EmbeddingMLP?
  public var textEmbedder: EmbeddingMLP

  private static let channels = 256

  public init(_ dim: Int, pooledDim: Int, guidance: Bool = false, _ w: Weights) {
    timestepEmbedder = EmbeddingMLP(Self.channels, dim, w["timestep_embedder"])
    guidanceEmbedder = guidance ? EmbeddingMLP(Self.channels, dim, w["guidance_embedder"]) : nil
    textEmbedder = EmbeddingMLP(pooledDim, dim, w["text_embedder"])
  }

  /// - Parameters:
  ///   - timestep: `[batch]` values, 0 … 1000
  ///   - guidance: `[batch]` values, 1000 times the scale; needed by a guidance-distilled model only
  ///   - pooled: `[batch, pooledDim]`
  /// - Returns: `[batch, dim]`
  public func callAsFunction(timestep: [Float], guidance: [Float]? = nil, pooled: Tensor) -> Tensor {
    var sum = timestepEmbedder(timestepEmbedding(timestep, dim: Self.channels))
    if let guidanceEmbedder, let guidance {
      sum = sum + guidanceEmbedder(timestepEmbedding(guidance, dim: Self.channels))
    }
    return sum + textEmbedder(pooled)
  }
}
