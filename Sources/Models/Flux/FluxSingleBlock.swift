import NN
import Tensor

/// A block in which all tokens share their weights, and attention and MLP run side by side.
///
/// Source: diffusers `FluxSingleTransformerBlock`. The output projection of the concatenated branches is computed as
/// the sum of two products, so that nothing is concatenated.
public struct FluxSingleBlock: JointBlock, JointBlockHalf {
  public var norm: AdaLayerNormZeroSingle
  public var query, key, value: Linear
  public var queryNorm, keyNorm: RMSNorm
  public var mlp: Linear
  /// `[dim, dim + mlpDim]`: attention columns, then MLP columns.
  public var output: Linear
  public var heads: Int

  public init(_ config: FluxConfig, _ w: Weights) {
    let dim = config.dim, attention = w["attn"]
    norm = AdaLayerNormZeroSingle(dim, w["norm"])
    query = Linear(dim, dim, attention["to_q"])
    key = Linear(dim, dim, attention["to_k"])
    value = Linear(dim, dim, attention["to_v"])
    queryNorm = RMSNorm(config.attentionHeadDim, attention["norm_q"])
    keyNorm = RMSNorm(config.attentionHeadDim, attention["norm_k"])
    mlp = Linear(dim, 4 * dim, w["proj_mlp"])
    output = Linear(5 * dim, dim, w["proj_out"])
    heads = config.numAttentionHeads
  }

  public var attentionPrecision: AttentionPrecision { query.attentionPrecision }
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
    let modulations = zip(inputs, norm.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm($0.tokens, $1)) }
    let q = query(x), k = key(x), v = value(x)
    let hidden = zip(inputs, mlp(x, activation: .geluTanh)).map { $0.tap(.mlpHidden, $1) }
    return inputs.indices.map {
      Projection(
        query: queryNorm(q[$0].splitHeads(heads)), key: keyNorm(k[$0].splitHeads(heads)),
        value: v[$0].splitHeads(heads),
        saved: Saved(gate: modulations[$0].gate, hidden: hidden[$0]))
    }
  }

  public func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]? {
    output(
      parts: [inputs.map(\.mergedAttention), inputs.map(\.saved.hidden)], gates: inputs.map(\.saved.gate),
      residuals: inputs.map(\.tokens), taps: inputs.map(\.tap), at: [.attentionProjected, .mlpOutput])
  }
}
