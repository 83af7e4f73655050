import NN
import Tensor

/// A block of CogVideoX: text and video tokens share all weights but have modulations of their own.
///
/// Source: diffusers `CogVideoXBlock`, `CogVideoXAttnProcessor2_0`.
public struct CogVideoXBlock: JointBlock, JointBlockHalf {
  public var norm1, norm2: CogVideoXLayerNormZero
  public var projections: AttentionProjections
  public var output: Linear
  public var feedForward: FeedForward

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
    projections = AttentionProjections(
      dim, heads: heads, bias: attentionBias, names: ("to_q", "to_k", "to_v"),
      queryNorm: LayerNorm(dim / heads, eps: 1e-6, attention["norm_q"]),
      keyNorm: LayerNorm(dim / heads, eps: 1e-6, attention["norm_k"]), attention)
    output = Linear(dim, dim, attention["to_out"][0])
    feedForward = FeedForward(dim, variant: activation, w["ff"])
  }

  public init(_ config: CogVideoXConfig, _ w: Weights) {
    self.init(
      dim: config.dim, heads: config.numAttentionHeads, conditioningDim: config.timeEmbedDim,
      attentionBias: config.attentionBias, normElementwiseAffine: config.normElementwiseAffine,
      normEps: config.normEps, activation: config.activation, w)
  }

  public var attentionPrecision: AttentionPrecision { projections.query.attentionPrecision }
  public var halves: [any JointBlockHalf] { [self] }
  public func half(for stream: StreamID) -> Int { 0 }

  public var attentionProjection: Linear? { output }

  public func project(_ inputs: [HalfInput]) -> [Projection<BranchModulations<Tensor>>] {
    let first = modulations(norm1, inputs), second = modulations(norm2, inputs)
    let modulations = inputs.indices.map { index in
      BranchModulations(attention: first[index], mlp: second[index]).visited(by: inputs[index].tap)
    }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm1($0.tokens, $1.attention)) }
    return projections(x, saving: modulations)
  }

  public func update(_ inputs: [UpdateInput<BranchModulations<Tensor>>]) -> [Tensor]? {
    ending(inputs, inputs.map(\.saved))
  }

  var ending: BlockEnding { BlockEnding(output: output, norm: norm2.norm, feedForward: feedForward) }

  private func modulations(_ norm: CogVideoXLayerNormZero, _ inputs: [HalfInput]) -> [Modulation<Tensor>] {
    zip(inputs, norm.modulations(inputs.map(\.conditioning))).map { $0.processedAs == .text ? $1.text : $1.video }
  }
}
