import Tensor

/// All streams of one block once attention is done: what `edit` and `observe` look at.
///
/// `logits`, `probabilities` and `attention` are those of this pass: with the masks and scales of the model, and with what an
/// `attend` function changed. (Where one computed attention several times, the last counts; where it did not use `next` at
/// all, nobody knows what it did, and they are the model's own.)
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
    /// The positions it is rotated by, to ask the same queries elsewhere: `rotary.rotate(query)`. nil where it is not.
    public let rotary: RotaryTable?
    /// The layer that takes the output to the width of the residual: heads side by side are its first inputs. nil where there
    /// is none.
    public let projection: Linear?
    let call: AttentionCall?

    /// The output with its heads side by side, `[batch, tokens, heads * headDim]`.
    public var mergedOutput: Tensor { output.mergedHeads }

    /// Whether the projection takes more than the attention's output (FLUX's single blocks: the MLP's too).
    public var sharesProjection: Bool {
      projection.map { $0.weight.shape[1] > output.shape[1] * output.shape[3] } ?? false
    }

    /// What attention adds to the residual before any gate, bias included, `[batch, tokens, dim]`; nil without a projection.
    public var projectedOutput: Tensor? {
      guard let projection else { return nil }
      let product = projection.shares([mergedOutput])[0]
      return projection.bias.map { product + $0 } ?? product
    }

    /// The share of every head in the output projection's product, without its bias, `[batch, heads, tokens, dim]`;
    /// their sum and the bias are `projectedOutput`. Computed only when asked for; nil without a projection.
    public var projectedHeads: Tensor? {
      guard let projection else { return nil }
      return stacked(projection.shares((0..<output.shape[1]).map { output[.all, $0] }), axis: 1)
    }

    public init(
      id: StreamID, reads: Set<StreamID>, query: Tensor, key: Tensor, value: Tensor, rotatedQuery: Tensor? = nil,
      rotatedKey: Tensor? = nil, output: Tensor, rotary: RotaryTable? = nil, projection: Linear? = nil
    ) {
      self.init(
        id: id, reads: reads, query: query, key: key, value: value,
        rotatedQuery: rotatedQuery ?? rotary?.rotate(query) ?? query,
        rotatedKey: rotatedKey ?? rotary?.rotate(key) ?? key, output: output, rotary: rotary, projection: projection,
        call: nil)
    }

    init(
      id: StreamID, reads: Set<StreamID>, query: Tensor, key: Tensor, value: Tensor, rotatedQuery: Tensor,
      rotatedKey: Tensor, output: Tensor, rotary: RotaryTable?, projection: Linear?, call: AttentionCall?
    ) {
      (self.id, self.reads, self.query, self.key, self.value) = (id, reads, query, key, value)
      (self.rotatedQuery, self.rotatedKey, self.output) = (rotatedQuery, rotatedKey, output)
      (self.rotary, self.projection, self.call) = (rotary, projection, call)
    }
  }

  public let id: BlockID
  public internal(set) var streams: [StreamView]

  public init(_ id: BlockID, streams: [StreamView]) {
    self.id = id
    self.streams = streams
  }

  /// The scale of attention's logits.
  public var scale: Float {
    streams.lazy.compactMap { $0.call?.scale }.first
      ?? streams.first.map { 1 / Float($0.query.shape[3]).squareRoot() } ?? 1
  }

  /// A stream by its id; nil when it does not travel through this block. Assign to change its `output`.
  public subscript(_ id: StreamID) -> StreamView? {
    get { streams.first { $0.id == id } }
    set {
      guard let newValue, let index = streams.firstIndex(where: { $0.id == id }) else { return }
      streams[index] = newValue
    }
  }

  /// Where a stream's keys lie among those that a stream reads, in the order of `streams`; nil when it does not read it.
  public func columns(of key: StreamID, readBy query: StreamID) -> Range<Int>? {
    var start = 0
    for source in reading(query) {
      let count = stream(source, "columns").key.shape[2]
      if source == key { return start..<start + count }
      start += count
    }
    return nil
  }

  /// Scaled products of chosen queries with a stream's keys, after rotation, computed only when asked for.
  ///
  /// - Parameters:
  ///   - rows: positions in the query stream; nil for all
  ///   - columns: positions in the key stream; nil for all
  /// - Returns: `[batch, heads, rows, columns]`
  public func logits(
    query: StreamID, key: StreamID, rows: Range<Int>? = nil, columns: Range<Int>? = nil
  ) -> Tensor {
    call(query, [key], "logits").weights(of: query, rows: rows, columns: columns, logits: true)
  }

  /// Attention weights of chosen queries over the keys of the given streams together, computed only when asked for.
  ///
  /// - Parameters:
  ///   - keys: nil for those that the query stream reads, in the order of `streams`
  ///   - rows: positions in the query stream; nil for all
  ///   - columns: positions among all these keys; the softmax runs over all of them whichever are returned. nil for all
  /// - Returns: `[batch, heads, rows, columns]`
  public func probabilities(
    query: StreamID, keys: [StreamID]? = nil, rows: Range<Int>? = nil, columns: Range<Int>? = nil
  ) -> Tensor {
    call(query, keys ?? reading(query), "probabilities")
      .weights(of: query, rows: rows, columns: columns, logits: false)
  }

  /// Attention weights as something to multiply by, without ever holding them: `times`, `transposedTimes`, `columnMass`.
  ///
  /// - Parameters:
  ///   - keys: nil for those that the query stream reads, in the order of `streams`
  ///   - rows: positions in the query stream; nil for all
  public func matrix(query: StreamID, keys: [StreamID]? = nil, rows: Range<Int>? = nil) -> AttentionMatrix {
    call(query, keys ?? reading(query), "matrix").matrix(of: query, rows: rows)
  }

  /// What attention would give a stream if its queries saw these streams: a question nobody's tokens depend on.
  ///
  /// - Returns: `[batch, heads, queryTokens, headDim]`
  public func attention(query: StreamID, reads: [StreamID]) -> Tensor { call(query, reads, "attention").compute()[0] }

  private func reading(_ query: StreamID) -> [StreamID] {
    let reads = stream(query, "probabilities").reads
    return streams.filter { reads.contains($0.id) && $0.key.shape[2] > 0 }.map(\.id)
  }

  /// The call that gave a stream's output, for this stream alone and with other sources.
  private func call(_ query: StreamID, _ keys: [StreamID], _ operation: String) -> AttentionCall {
    let asking = stream(query, operation)
    var call =
      asking.call
      ?? AttentionCall(
        block: id, queries: [.init(stream: query, tensor: asking.rotatedQuery, rotary: asking.rotary)], sources: [],
        scale: streams.lazy.compactMap { $0.call?.scale }.first,
        precision: streams.lazy.compactMap { $0.call?.precision }.first ?? .f32)
    let sources = call.sources
    call.queries = call.queries.filter { $0.stream == query }
    call.sources = keys.map { key in
      let source = stream(key, operation)
      return sources.first { $0.stream == key }
        ?? .init(stream: key, key: source.rotatedKey, value: source.value, rotary: source.rotary)
    }
    return call
  }

  private func stream(_ id: StreamID, _ operation: String) -> StreamView {
    guard let stream = self[id] else {
      tensorFailure("\(operation): no stream '\(id)' in block \(self.id); it has \(streams.map(\.id.name))")
    }
    return stream
  }
}
