import NN
import Tensor

/// `config.json` of a CLIP text model.
public struct CLIPTextConfig: Sendable, Decodable, Equatable {
  public var vocabularySize, dim, feedForwardDim, layers, heads, maxPositions, projectionDim: Int
  public var activation: Activation
  public var layerNormEpsilon: Float
  public var endOfTextID: Int
  /// Whether the file holds the model with the projection of the pooled vector.
  public var hasProjection: Bool

  enum CodingKeys: String, CodingKey {
    case vocabularySize = "vocab_size"
    case dim = "hidden_size"
    case feedForwardDim = "intermediate_size"
    case layers = "num_hidden_layers"
    case heads = "num_attention_heads"
    case maxPositions = "max_position_embeddings"
    case projectionDim = "projection_dim"
    case activation = "hidden_act"
    case layerNormEpsilon = "layer_norm_eps"
    case endOfTextID = "eos_token_id"
    case architectures
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    vocabularySize = try values.decodeSize(.vocabularySize, atMost: ConfigLimit.vocabulary)
    dim = try values.decodeSize(.dim, atMost: ConfigLimit.width)
    feedForwardDim = try values.decodeSize(.feedForwardDim, atMost: ConfigLimit.width * 8)
    layers = try values.decodeSize(.layers, atMost: ConfigLimit.layers)
    heads = try values.decodeSize(.heads, atMost: ConfigLimit.heads)
    maxPositions = try values.decodeSize(.maxPositions, atMost: 1 << 16, default: 77)
    projectionDim = try values.decodeSize(.projectionDim, atMost: ConfigLimit.width, default: 512)
    layerNormEpsilon = try values.decodeNumber(.layerNormEpsilon, in: 0...1, default: 1e-5)
    endOfTextID = try values.decodeInteger(.endOfTextID, in: 0...ConfigLimit.vocabulary, default: 2)
    let architectures = try values.decodeIfPresent([String].self, forKey: .architectures) ?? []
    hasProjection = architectures.contains("CLIPTextModelWithProjection")
    guard dim % heads == 0 else { throw values.corrupted(.heads, "\(heads) does not divide hidden_size \(dim)") }
    let name = try values.decodeIfPresent(String.self, forKey: .activation) ?? "quick_gelu"
    switch name {
    case "quick_gelu": activation = .quickGELU
    case "gelu": activation = .gelu
    case "gelu_new", "gelu_pytorch_tanh": activation = .geluTanh
    default: throw values.corrupted(.activation, "'\(name)', expected quick_gelu, gelu or gelu_new")
    }
  }
}

/// CLIP's text transformer: the pooled vector FLUX's norms are told, and SD3's prompt embeddings.
///
/// Source: arXiv 2103.00020; transformers `CLIPTextModel`, `CLIPTextModelWithProjection`.
public struct CLIPTextEncoder: Sendable {
  public let config: CLIPTextConfig
  public var tokenEmbedding: Embedding
  /// `[maxPositions, dim]`
  public var positionEmbedding: Tensor
  public var layers: [Layer]
  public var finalNorm: LayerNorm
  /// Of the pooled vector; absent in `CLIPTextModel`.
  public var projection: Linear?

  public struct Layer: Sendable {
    public var norm1, norm2: LayerNorm
    public var attention: AttentionProjections
    public var attentionOutput: Linear
    public var up, down: Linear
    public var activation: Activation
  }

  public init(_ config: CLIPTextConfig, _ w: Weights) {
    self.config = config
    // Transformers from version 5 on saves the text model alone without its prefix.
    let isBare = w["embeddings"]["token_embedding"].contains("weight")
    let text = isBare ? w : w["text_model"], dim = config.dim
    tokenEmbedding = Embedding(config.vocabularySize, dim, text["embeddings"]["token_embedding"])
    positionEmbedding = text["embeddings"]["position_embedding"].tensor("weight", config.maxPositions, dim)
    layers = (0..<config.layers).map { index in
      let layer = text["encoder"]["layers"][index]
      return Layer(
        norm1: LayerNorm(dim, eps: config.layerNormEpsilon, layer["layer_norm1"]),
        norm2: LayerNorm(dim, eps: config.layerNormEpsilon, layer["layer_norm2"]),
        attention: AttentionProjections(
          dim, heads: config.heads, names: ("q_proj", "k_proj", "v_proj"), layer["self_attn"]),
        attentionOutput: Linear(dim, dim, layer["self_attn"]["out_proj"]),
        up: Linear(dim, config.feedForwardDim, layer["mlp"]["fc1"]),
        down: Linear(config.feedForwardDim, dim, layer["mlp"]["fc2"]), activation: config.activation)
    }
    finalNorm = LayerNorm(dim, eps: config.layerNormEpsilon, text["final_layer_norm"])
    projection = config.hasProjection ? Linear(dim, config.projectionDim, bias: false, w["text_projection"]) : nil
  }

  /// Weights a checkpoint may hold besides: a buffer of old files, and the scale that CLIP compares pictures with.
  public static func mayStayUnused(_ name: String) -> Bool {
    name.hasSuffix("embeddings.position_ids") || name == "logit_scale"
  }

  public struct Output: Sendable {
    /// The embeddings and the residual stream after every layer, each `[batch, tokens, dim]`.
    public var hiddenStates: [Tensor]
    /// After the final norm, `[batch, tokens, dim]`.
    public var lastHiddenState: Tensor
    /// The final state of the end-of-text token, `[batch, dim]`.
    public var pooled: Tensor
    /// The pooled vector projected, `[batch, projectionDim]`, in a model with projection.
    public var projected: Tensor?
  }

  /// - Parameters:
  ///   - ids: `[batch, tokens]`, at most `maxPositions` tokens
  ///   - hooks: whose processors see the layers
  ///   - family: the name that their sites have
  public func callAsFunction(_ ids: Tensor, hooks: HookRun? = nil, family: String = "clip") -> Output {
    let tokens = ids.shape[1]
    guard tokens <= config.maxPositions else {
      tensorFailure("CLIPTextEncoder: ids of shape \(ids.shape), the model has \(config.maxPositions) positions")
    }
    let embedded = tokenEmbedding(ids) + positionEmbedding.narrow(0, from: 0, count: tokens).converted(to: .f32)
    var states: [Tensor] = []
    states.append(runTextBlocks(layers, family, embedded, hooks: hooks) { states.append($0) })
    let last = finalNorm(states[states.count - 1])
    let pooled = stacked(endOfText(ids).enumerated().map { last[$0.offset, $0.element] }, axis: 0)
    return Output(hiddenStates: states, lastHiddenState: last, pooled: pooled, projected: projection.map { $0(pooled) })
  }

  /// Where every prompt ends: the first end-of-text id. Configurations with the legacy id 2 mean the highest id.
  private func endOfText(_ ids: Tensor) -> [Int] {
    let tokens = ids.shape[1]
    let values = ids.converted(to: .i64).scalars(as: Int64.self)
    return (0..<ids.shape[0]).map { row in
      let prompt = values[row * tokens..<(row + 1) * tokens]
      let end = config.endOfTextID == 2 ? prompt.max() ?? 0 : Int64(config.endOfTextID)
      return (prompt.firstIndex(of: end) ?? prompt.startIndex) - prompt.startIndex
    }
  }
}
