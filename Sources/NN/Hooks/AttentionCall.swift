import Tensor

/// One attention computation of a block: the streams that see the same keys go together.
public struct AttentionCall: Sendable {
  public struct Query: Sendable {
    public let stream: StreamID
    /// Rotated, `[batch, heads, tokens, headDim]`.
    public var tensor: Tensor
  }
  public struct Source: Sendable {
    public let stream: StreamID
    /// Rotated key and value, `[batch, heads, tokens, headDim]`.
    public var key, value: Tensor
  }

  public let block: BlockID
  public var queries: [Query]
  /// What the queries see, in the order of the streams.
  public var sources: [Source]
  /// nil: `1 / sqrt(headDim)`.
  public var scale: Float?
  public var precision: AttentionPrecision

  /// The attention itself, which `attend` is given as `next`.
  ///
  /// - Returns: one output per query, `[batch, heads, tokens, headDim]`
  func compute() -> [Tensor] {
    scaledDotProductAttention(
      queries: queries.map(\.tensor), keys: sources.map { AttentionKeys($0.key, $0.value) }, scale: scale,
      precision: precision)
  }
}
