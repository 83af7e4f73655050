import NN
import Tensor

/// A block of CogVideoX: text and video tokens share all weights but have modulations of their own.
///
/// Source: diffusers `CogVideoXBlock`, `CogVideoXAttnProcessor2_0`.
public struct CogVideoXBlock: JointBlock, JointBlockHalf {
  public var norm1, norm2: CogVideoXLayerNormZero
  public var query, key, value, output: Linear
  public var queryNorm, keyNorm: LayerNorm
  public var feedForward: FeedForward
  public var heads: Int

  public init(
    dim: Int, heads: Int, conditioningDim: Int, attentionBias: Bool = true, normElementwiseAffine: Bool = true,
    normEps: Float = 1e-5, activation: FeedForward.Variant = .geluApproximate, _ w: Weights
  ) {
    let attention = w["attn1"]
    func norm(_ name: String) -> CogVideoXLayerNormZero {
      CogVideoXLayerNormZero(
        conditioningDim: conditioningDim, dim, elementwiseAffine: normElementwiseAffine, eps: normEps, w[name])
    }
    norm1 = norm("norm1")
    norm2 = norm("norm2")
    query = Linear(dim, dim, bias: attentionBias, attention["to_q"])
    key = Linear(dim, dim, bias: attentionBias, attention["to_k"])
    value = Linear(dim, dim, bias: attentionBias, attention["to_v"])
    output = Linear(dim, dim, attention["to_out"][0])
    queryNorm = LayerNorm(dim / heads, eps: 1e-6, attention["norm_q"])
    keyNorm = LayerNorm(dim / heads, eps: 1e-6, attention["norm_k"])
    feedForward = FeedForward(dim, variant: activation, w["ff"])
    self.heads = heads
  }

  public init(_ config: CogVideoXConfig, _ w: Weights) {
    self.init(
      dim: config.dim, heads: config.numAttentionHeads, conditioningDim: config.timeEmbedDim,
      attentionBias: config.attentionBias, normElementwiseAffine: config.normElementwiseAffine,
      normEps: config.normEps, activation: config.activation, w)
  }

  public var attentionPrecision: AttentionPrecision { query.attentionPrecision }
  public var halves: [any JointBlockHalf] { [self] }
  public func half(for stream: StreamID) -> Int { 0 }

  public struct Saved: Sendable {
    /// Of the attention, `[batch, dim]`.
    public var gateAttention: Tensor
    public var mlp: CogVideoXLayerNormZero.Modulation
  }

  public var attentionProjection: Linear? { output }

  public func project(_ inputs: [HalfInput]) -> [Projection<Saved>] {
    let first = zip(inputs, modulations(norm1, inputs)).map { $1.visitedAtAttention(by: $0.tap) }
    let second = zip(inputs, modulations(norm2, inputs)).map { $1.visitedAtMLP(by: $0.tap) }
    let x = zip(inputs, first).map { $0.tap(.modulated, norm1($0.tokens, $1)) }
    let q = query(x), k = key(x), v = value(x)
    return inputs.indices.map {
      Projection(
        query: queryNorm(q[$0].splitHeads(heads)), key: keyNorm(k[$0].splitHeads(heads)),
        value: v[$0].splitHeads(heads),
        saved: Saved(gateAttention: first[$0].gate, mlp: second[$0]))
    }
  }

  public func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]? {
    let attended = output(
      inputs.map(\.mergedAttention), gates: inputs.map(\.saved.gateAttention), residuals: inputs.map(\.tokens),
      taps: inputs.map(\.tap))
    let x = zip(inputs, attended).map { $0.tap(.mlpInput, norm2($1, $0.saved.mlp)) }
    return feedForward(x, gates: inputs.map(\.saved.mlp.gate), residuals: attended, taps: inputs.map(\.tap))
  }

  private func modulations(
    _ norm: CogVideoXLayerNormZero, _ inputs: [HalfInput]
  ) -> [CogVideoXLayerNormZero.Modulation] {
    zip(inputs, norm.modulations(inputs.map(\.conditioning))).map { $0.processedAs == .text ? $1.text : $1.video }
  }
}
