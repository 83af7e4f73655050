import NN
import Tensor

/// A block in which image and text tokens have weights of their own and attend together.
///
/// Source: diffusers `FluxTransformerBlock`.
public struct FluxDoubleBlock: JointBlock {
  public var image, text: FluxHalf
  public var attentionPrecision: AttentionPrecision { image.query.attentionPrecision }

  public init(_ config: FluxConfig, _ w: Weights) {
    image = FluxHalf(config, .image, w)
    text = FluxHalf(config, .text, w)
  }

  public var halves: [any JointBlockHalf] { [image, text] }
  public func half(for stream: StreamID) -> Int { stream == .image ? 0 : 1 }
}

/// The image or the text half of a double block.
public struct FluxHalf: JointBlockHalf {
  public var norm1: AdaLayerNormZero
  public var query, key, value, output: Linear
  public var queryNorm, keyNorm: RMSNorm
  public var norm2: LayerNorm
  public var feedForward: FeedForward
  public var heads: Int

  public init(_ config: FluxConfig, _ side: StreamID, _ w: Weights) {
    let dim = config.dim, attention = w["attn"], isImage = side == .image
    norm1 = AdaLayerNormZero(dim, w[isImage ? "norm1" : "norm1_context"])
    query = Linear(dim, dim, attention[isImage ? "to_q" : "add_q_proj"])
    key = Linear(dim, dim, attention[isImage ? "to_k" : "add_k_proj"])
    value = Linear(dim, dim, attention[isImage ? "to_v" : "add_v_proj"])
    output = Linear(dim, dim, isImage ? attention["to_out"][0] : attention["to_add_out"])
    queryNorm = RMSNorm(config.attentionHeadDim, attention[isImage ? "norm_q" : "norm_added_q"])
    keyNorm = RMSNorm(config.attentionHeadDim, attention[isImage ? "norm_k" : "norm_added_k"])
    norm2 = LayerNorm(eps: 1e-6)
    feedForward = FeedForward(dim, w[isImage ? "ff" : "ff_context"])
    heads = config.numAttentionHeads
  }

  public var attentionProjection: Linear? { output }

  public func project(_ inputs: [HalfInput]) -> [Projection<AdaLayerNormZero.Modulation>] {
    let modulations = zip(inputs, norm1.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm1($0.tokens, $1)) }
    let q = query(x), k = key(x), v = value(x)
    return inputs.indices.map {
      Projection(
        query: queryNorm(q[$0].splitHeads(heads)), key: keyNorm(k[$0].splitHeads(heads)),
        value: v[$0].splitHeads(heads), saved: modulations[$0])
    }
  }

  public func update(_ inputs: [UpdateInput<AdaLayerNormZero.Modulation>]) -> [Tensor]? {
    let attended = output(
      inputs.map(\.mergedAttention), gates: inputs.map(\.saved.gateAttention), residuals: inputs.map(\.tokens),
      taps: inputs.map(\.tap))
    let x = zip(inputs, attended).map {
      $0.tap(.mlpInput, norm2($1, scale: $0.saved.scaleMLP, shift: $0.saved.shiftMLP))
    }
    return feedForward(x, gates: inputs.map(\.saved.gateMLP), residuals: attended, taps: inputs.map(\.tap))
  }
}
