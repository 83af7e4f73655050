import NN
import Tensor

/// `config.json` of a T5 v1.1 encoder.
public struct T5Config: Sendable, Decodable, Equatable {
  public var vocabularySize, dim, keyDim, feedForwardDim, layers, heads: Int
  public var relativeBuckets, relativeMaxDistance: Int
  public var layerNormEpsilon: Float
  public var feedForwardProjection: String

  enum CodingKeys: String, CodingKey {
    case vocabularySize = "vocab_size"
    case dim = "d_model"
    case keyDim = "d_kv"
    case feedForwardDim = "d_ff"
    case layers = "num_layers"
    case heads = "num_heads"
    case relativeBuckets = "relative_attention_num_buckets"
    case relativeMaxDistance = "relative_attention_max_distance"
    case layerNormEpsilon = "layer_norm_epsilon"
    case feedForwardProjection = "feed_forward_proj"
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    vocabularySize = try values.decodeSize(.vocabularySize, atMost: ConfigLimit.vocabulary)
    dim = try values.decodeSize(.dim, atMost: ConfigLimit.width)
    keyDim = try values.decodeSize(.keyDim, atMost: ConfigLimit.headDim)
    feedForwardDim = try values.decodeSize(.feedForwardDim, atMost: ConfigLimit.width * 8)
    layers = try values.decodeSize(.layers, atMost: ConfigLimit.layers)
    heads = try values.decodeSize(.heads, atMost: ConfigLimit.heads)
    relativeBuckets = try values.decodeSize(.relativeBuckets, atMost: 1 << 10, default: 32)
    relativeMaxDistance = try values.decodeSize(.relativeMaxDistance, atMost: 1 << 20, default: 128)
    layerNormEpsilon = try values.decodeNumber(.layerNormEpsilon, in: 0...1, default: 1e-6)
    feedForwardProjection = try values.decodeIfPresent(String.self, forKey: .feedForwardProjection) ?? "relu"
    guard feedForwardProjection == "gated-gelu" else {
      throw values.corrupted(.feedForwardProjection, "'\(feedForwardProjection)', expected 'gated-gelu' (T5 v1.1)")
    }
    guard relativeBuckets >= 4, relativeBuckets % 2 == 0, relativeMaxDistance > relativeBuckets / 4 else {
      throw values.corrupted(
        .relativeBuckets, "\(relativeBuckets) buckets for distances up to \(relativeMaxDistance) do not fit")
    }
  }
}

/// The encoder of T5 v1.1: the prompt as FLUX, SD3 and CogVideoX read it.
///
/// Source: arXiv 1910.10683, 2002.05202; transformers `T5EncoderModel`.
public struct T5Encoder: Sendable {
  public let config: T5Config
  public var embedding: Embedding
  public var positionBias: RelativePositionBias
  public var blocks: [Block]
  public var finalNorm: RMSNorm

  public struct Block: Sendable {
    public var attentionNorm: RMSNorm
    public var attention: AttentionProjections
    public var attentionOutput: Linear
    public var feedForwardNorm: RMSNorm
    public var feedForward: GatedFeedForward
  }

  public init(_ config: T5Config, _ w: Weights) {
    self.config = config
    let encoder = w["encoder"]
    // Some exports carry the table twice; both names mean the same tensor.
    let table = w.contains("shared.weight") ? w["shared"] : encoder["embed_tokens"]
    embedding = Embedding(config.vocabularySize, config.dim, table)
    positionBias = RelativePositionBias(
      buckets: config.relativeBuckets, heads: config.heads, maxDistance: config.relativeMaxDistance,
      encoder["block"][0]["layer"][0]["SelfAttention"]["relative_attention_bias"])
    blocks = (0..<config.layers).map { layer in
      let attention = encoder["block"][layer]["layer"][0], feedForward = encoder["block"][layer]["layer"][1]
      let inner = config.heads * config.keyDim
      return Block(
        attentionNorm: RMSNorm(config.dim, eps: config.layerNormEpsilon, attention["layer_norm"]),
        attention: AttentionProjections(
          config.dim, inner: inner, heads: config.heads, bias: false, names: ("q", "k", "v"),
          attention["SelfAttention"]),
        attentionOutput: Linear(inner, config.dim, bias: false, attention["SelfAttention"]["o"]),
        feedForwardNorm: RMSNorm(config.dim, eps: config.layerNormEpsilon, feedForward["layer_norm"]),
        feedForward: GatedFeedForward(config.dim, hidden: config.feedForwardDim, feedForward["DenseReluDense"]))
    }
    finalNorm = RMSNorm(config.dim, eps: config.layerNormEpsilon, encoder["final_layer_norm"])
  }

  /// Weights a checkpoint may hold besides: the embedding under its second name.
  public static func mayStayUnused(_ name: String) -> Bool { name == "encoder.embed_tokens.weight" }

  /// - Parameters:
  ///   - ids: `[batch, tokens]`
  ///   - attentionMask: `[batch, tokens]`, 1 where a token may be seen; nil to see padding too, as the pipelines do
  ///   - hooks: whose processors see the blocks, as family `t5`
  /// - Returns: `[batch, tokens, dim]`
  public func callAsFunction(_ ids: Tensor, attentionMask: Tensor? = nil, hooks: HookRun? = nil) -> Tensor {
    encode(ids, attentionMask, hooks) { _ in }
  }

  /// Its blocks, for processors.
  public var sites: TextEncoderSites { TextEncoderSites("t5", layers: blocks.count) }

  /// The embeddings, the residual stream after every block but the last, and the final output, each
  /// `[batch, tokens, dim]`.
  public func hiddenStates(_ ids: Tensor, attentionMask: Tensor? = nil) -> [Tensor] {
    var states: [Tensor] = []
    let last = encode(ids, attentionMask, nil) { states.append($0) }
    return states + [last]
  }

  /// - Parameter visit: given what every block reads
  private func encode(
    _ ids: Tensor, _ attentionMask: Tensor?, _ hooks: HookRun?, visit: (Tensor) -> Void
  ) -> Tensor {
    let tokens = ids.shape[1]
    var bias = positionBias(queries: tokens, keys: tokens)
    if let attentionMask { bias = bias + Self.additive(attentionMask) }
    return finalNorm(
      runTextBlocks(blocks, sites.family, embedding(ids), bias: bias, hooks: hooks, visit: visit))
  }

  /// `[batch, 1, 1, tokens]`: 0 where a token may be seen, the lowest number where not.
  private static func additive(_ mask: Tensor) -> Tensor {
    let hidden = 1 - mask.converted(to: .f32)
    return (hidden * -Float.greatestFiniteMagnitude).unsqueezed(1).unsqueezed(1)
  }
}
