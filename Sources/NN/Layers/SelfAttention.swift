import Tensor

/// Multi-head attention of a sequence with itself, as the text encoders use it.
///
/// Source: transformers `CLIPAttention` (scaled, causal), `T5Attention` (unscaled, with a position bias).
public struct SelfAttention: Sendable {
  public var query, key, value, output: Linear
  public var heads: Int

  /// - Parameter names: of the four projections below `w`
  public init(
    _ dim: Int, inner: Int? = nil, heads: Int, bias: Bool,
    names: (query: String, key: String, value: String, output: String), _ w: Weights
  ) {
    let inner = inner ?? dim
    query = Linear(dim, inner, bias: bias, w[names.query])
    key = Linear(dim, inner, bias: bias, w[names.key])
    value = Linear(dim, inner, bias: bias, w[names.value])
    output = Linear(inner, dim, bias: bias, w[names.output])
    self.heads = heads
  }

  /// Queries, keys and values of several inputs, in one pass over the weights.
  ///
  /// - Parameter xs: each `[batch, tokens, dim]`
  public func projections(_ xs: [Tensor]) -> [Projection<Void>] {
    let q = query(xs), k = key(xs), v = value(xs)
    return xs.indices.map {
      Projection(query: q[$0].splitHeads(heads), key: k[$0].splitHeads(heads), value: v[$0].splitHeads(heads))
    }
  }

  /// - Parameters:
  ///   - x: `[batch, tokens, dim]`
  ///   - mask: added to the logits, broadcastable to `[batch, heads, tokens, tokens]`
  ///   - scale: of the logits; nil for `1 / sqrt(headDim)`
  public func callAsFunction(
    _ x: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Float? = nil, precision: AttentionPrecision = .f32
  ) -> Tensor {
    let attended = scaledDotProductAttention(
      query: query(x).splitHeads(heads), key: key(x).splitHeads(heads), value: value(x).splitHeads(heads), mask: mask,
      causal: causal, scale: scale,
      precision: precision)
    return output(attended.mergedHeads)
  }
}

extension Tensor {
  /// `[batch, tokens, heads * headDim]` as `[batch, heads, tokens, headDim]`; a view.
  public func splitHeads(_ heads: Int) -> Tensor { unflattened(-1, heads, -1).transposed(1, 2) }

  /// `[batch, heads, tokens, headDim]` as `[batch, tokens, heads * headDim]`; a view of an attention result.
  public var mergedHeads: Tensor { transposed(1, 2).flattened(from: 2) }
}
