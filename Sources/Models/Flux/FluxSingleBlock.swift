import NN
import Tensor

/// A block in which all tokens share their weights, and attention and MLP run side by side.
///
/// Source: diffusers `FluxSingleTransformerBlock`. The output projection of the concatenated branches is computed as
/// the sum of two products, so that nothing is concatenated.
public struct FluxSingleBlock: JointBlock, JointBlockHalf {
  public var norm: AdaLayerNormZeroSingle
  public var attention: AttentionProjections
  public var mlp: Linear
  /// `[dim, dim + mlpDim]`: attention columns, then MLP columns.
  public var output: Linear

  public init(_ config: FluxConfig, _ w: Weights) {
    let dim = config.dim
    norm = AdaLayerNormZeroSingle(dim, w["norm"])
    attention = AttentionProjections(
      dim, heads: config.numAttentionHeads, headDim: config.attentionHeadDim, side: .image, w["attn"])
    mlp = Linear(dim, 4 * dim, w["proj_mlp"])
    output = Linear(5 * dim, dim, w["proj_out"])
  }

  public var attentionPrecision: AttentionPrecision { attention.query.attentionPrecision }
  public var halves: [any JointBlockHalf] { [self] }
  public func half(for stream: StreamID) -> Int { 0 }

  public struct Saved: Sendable {
    /// `[batch, dim]`
    public var gate: Tensor
    /// What the MLP's first layer gave, `[batch, tokens, mlpDim]`.
    public var hidden: Tensor
  }

  public var attentionProjection: Linear? { output }

  public func project(_ inputs: [HalfInput]) -> [Projection<Saved>] {
    let modulations = zip(inputs, norm.modulations(inputs.map(\.conditioning))).map {
      $1.visited(as: .attention, by: $0.tap)
    }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm($0.tokens, $1)) }
    let hidden = zip(inputs, mlp(x, activation: .geluTanh)).map { $0.tap(.mlpHidden, $1) }
    return attention(x, saving: zip(modulations, hidden).map { Saved(gate: $0.gate, hidden: $1) })
  }

  public func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]? {
    output(
      parts: [inputs.map(\.mergedAttention), inputs.map(\.saved.hidden)], gates: inputs.map(\.saved.gate),
      residuals: inputs.map(\.tokens), taps: inputs.map(\.tap), at: [.attentionProjected, .mlpOutput])
  }
}
