import Tensor

/// Queries, keys and values of tokens, with norms of every head's queries and keys where a model has them.
public struct AttentionProjections: Sendable {
  public var query, key, value: Linear
  public var queryNorm, keyNorm: (any HeadNorm)?
  public var heads: Int

  /// - Parameters:
  ///   - inner: the width of all heads together; `dim` unless given
  ///   - names: of the three projections below `w`
  public init(
    _ dim: Int, inner: Int? = nil, heads: Int, bias: Bool = true, names: (query: String, key: String, value: String),
    queryNorm: (any HeadNorm)? = nil, keyNorm: (any HeadNorm)? = nil, _ w: Weights
  ) {
    query = Linear(dim, inner ?? dim, bias: bias, w[names.query])
    key = Linear(dim, inner ?? dim, bias: bias, w[names.key])
    value = Linear(dim, inner ?? dim, bias: bias, w[names.value])
    self.queryNorm = queryNorm
    self.keyNorm = keyNorm
    self.heads = heads
  }

  /// Of several inputs, in one pass over the weights.
  ///
  /// - Parameters:
  ///   - xs: each `[batch, tokens, dim]`
  ///   - saved: what goes with each of the projections
  public func callAsFunction<Saved>(_ xs: [Tensor], saving saved: [Saved]) -> [Projection<Saved>] {
    let q = query(xs).map { $0.splitHeads(heads) }, k = key(xs).map { $0.splitHeads(heads) }, v = value(xs)
    return xs.indices.map {
      Projection(
        query: queryNorm?(q[$0]) ?? q[$0], key: keyNorm?(k[$0]) ?? k[$0], value: v[$0].splitHeads(heads),
        saved: saved[$0])
    }
  }

  /// - Parameter xs: each `[batch, tokens, dim]`
  public func callAsFunction(_ xs: [Tensor]) -> [Projection<Void>] { self(xs, saving: xs.map { _ in }) }

  /// - Parameter x: `[batch, tokens, dim]`
  public func callAsFunction<Saved>(_ x: Variable, saving saved: Saved) -> TracedProjection<Saved> {
    let q = query(x).splitHeads(heads), k = key(x).splitHeads(heads)
    return TracedProjection(
      query: queryNorm?(q) ?? q, key: keyNorm?(k) ?? k, value: value(x).splitHeads(heads), saved: saved)
  }
}

/// A norm over the width of a head.
public protocol HeadNorm: Sendable {
  /// - Parameter x: `[batch, heads, tokens, headDim]`
  func callAsFunction(_ x: Tensor) -> Tensor
  func callAsFunction(_ x: Variable) -> Variable
}

extension RMSNorm: HeadNorm {}

extension LayerNorm: HeadNorm {
  public func callAsFunction(_ x: Tensor) -> Tensor { self(x, scale: nil, shift: nil) }
  public func callAsFunction(_ x: Variable) -> Variable { self(x, scale: nil, shift: nil) }
}
