import Tensor

/// All streams of one block once attention is done: what `edit` and `observe` look at.
public struct BlockView {
  /// One stream's part; every tensor is `[batch, heads, tokens, headDim]`.
  public struct StreamView {
    public let id: StreamID
    /// The streams whose keys and values its queries see.
    public let reads: Set<StreamID>
    /// After QK-norm, before rotation.
    public let query, key, value: Tensor
    /// After rotation; the same as `query` and `key` where the stream is not rotated.
    public let rotatedQuery, rotatedKey: Tensor
    /// Attention output before the output projection.
    public var output: Tensor

    /// The output with its heads side by side, `[batch, tokens, heads * headDim]`.
    public var mergedOutput: Tensor { output.mergedHeads }
  }

  public let id: BlockID
  public internal(set) var streams: [StreamView]
  /// The scale of attention's logits.
  public let scale: Float
  let precision: AttentionPrecision

  /// A stream by its id; nil when it does not travel through this block. Assign to change its `output`.
  public subscript(_ id: StreamID) -> StreamView? {
    get { streams.first { $0.id == id } }
    set {
      guard let newValue, let index = streams.firstIndex(where: { $0.id == id }) else { return }
      streams[index] = newValue
    }
  }

  /// Scaled products of chosen queries with a stream's keys, after rotation, computed only when asked for.
  ///
  /// - Parameter rows: positions in the query stream; nil for all
  /// - Returns: `[batch, heads, rows, keyTokens]`
  public func logits(query: StreamID, key: StreamID, rows: Range<Int>? = nil) -> Tensor {
    let query = stream(query, "logits").rotatedQuery, rows = rows ?? 0..<query.shape[2]
    return attentionLogits(query: query, keys: [stream(key, "logits").rotatedKey], rows: Array(rows), scale: scale)
  }

  /// Attention weights of chosen queries over the keys of the given streams together, computed only when asked for.
  ///
  /// - Parameters:
  ///   - keys: nil for those that the query stream reads, in the order of `streams`
  ///   - rows: positions in the query stream; nil for all
  /// - Returns: `[batch, heads, rows, keyTokens of all key streams in order]`
  public func probabilities(query: StreamID, keys: [StreamID]? = nil, rows: Range<Int>? = nil) -> Tensor {
    let asking = stream(query, "probabilities"), rows = rows ?? 0..<asking.query.shape[2]
    let keys = keys ?? streams.map(\.id).filter(asking.reads.contains)
    return attentionProbabilities(
      query: asking.rotatedQuery, keys: keys.map { stream($0, "probabilities").rotatedKey }, rows: Array(rows),
      scale: scale)
  }

  /// What attention would give a stream if its queries saw these streams: a question nobody's tokens depend on.
  ///
  /// - Returns: `[batch, heads, queryTokens, headDim]`
  public func attention(query: StreamID, reads: [StreamID]) -> Tensor {
    let sources = reads.map { stream($0, "attention") }
    return scaledDotProductAttention(
      queries: [stream(query, "attention").rotatedQuery], keys: sources.map { AttentionKeys($0.rotatedKey, $0.value) },
      scale: scale, precision: precision)[0]
  }

  private func stream(_ id: StreamID, _ operation: String) -> StreamView {
    guard let stream = self[id] else {
      tensorFailure("\(operation): no stream '\(id)' in block \(self.id); it has \(streams.map(\.id.name))")
    }
    return stream
  }
}
