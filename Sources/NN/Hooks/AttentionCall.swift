import Tensor

/// One attention computation of a block: the streams that see the same keys go together.
///
/// What an `attend` function changes of a pair of streams (who looks at whom) goes into the attention kernel with it:
/// ```swift
/// hooks.attend("double") { call, pass, next in
///   var call = call
///   call.scaleLogits(query: .image, key: .text, by: 1.2)
///   return next(call)
/// }
/// ```
public struct AttentionCall: Sendable {
  public struct Query: Sendable {
    public let stream: StreamID
    /// Rotated, `[batch, heads, tokens, headDim]`.
    public var tensor: Tensor

    public init(stream: StreamID, tensor: Tensor) {
      self.stream = stream
      self.tensor = tensor
    }
  }
  public struct Source: Sendable {
    public let stream: StreamID
    /// Rotated key and value, `[batch, heads, tokens, headDim]`.
    public var key, value: Tensor

    public init(stream: StreamID, key: Tensor, value: Tensor) {
      self.stream = stream
      self.key = key
      self.value = value
    }
  }

  /// What is changed of the attention of one stream to another.
  public struct Change: Sendable {
    /// Added to the logits, `[batch or 1, heads or 1, queries or 1, keys or 1]`; -infinity where nothing may be seen.
    public var bias: Tensor?
    /// The logits are multiplied by it, before the bias is added.
    public var logitScale: Float = 1
    /// Whether the keys keep their share of the softmax and give nothing.
    public var dropsValues = false
  }

  /// Who looks at whom.
  public struct Edge: Hashable, Sendable {
    public let query, key: StreamID
  }

  /// Which attention of a block.
  public enum Part: String, Sendable {
    /// That of all streams together.
    case joint
    /// The second one of SD3.5 Medium, of image tokens among themselves.
    case dual
  }

  public let block: BlockID
  public let part: Part
  public var queries: [Query]
  /// What the queries see, in the order of the streams.
  public var sources: [Source]
  /// nil: `1 / sqrt(headDim)`.
  public var scale: Float?
  public var precision: AttentionPrecision
  public private(set) var changes: [Edge: Change] = [:]

  public init(
    block: BlockID, part: Part = .joint, queries: [Query], sources: [Source], scale: Float? = nil,
    precision: AttentionPrecision = .f32
  ) {
    self.block = block
    self.part = part
    self.queries = queries
    self.sources = sources
    self.scale = scale
    self.precision = precision
  }

  /// The attention itself, which `attend` is given as `next`.
  ///
  /// - Returns: one output per query, `[batch, heads, tokens, headDim]`
  func compute() -> [Tensor] {
    if changes.isEmpty {
      return scaledDotProductAttention(
        queries: queries.map(\.tensor), keys: sources.map { AttentionKeys($0.key, $0.value) }, scale: scale,
        precision: precision)
    }
    return queries.map { query in
      scaledDotProductAttention(
        queries: [query.tensor], keys: sources.map { changed($0, for: query) }, mask: bias(for: query), scale: scale,
        precision: precision)[0]
    }
  }

  /// Logits or probabilities of one stream's queries, with all that is changed of them; values that are dropped keep their
  /// probabilities.
  ///
  /// - Returns: `[batch, heads, rows, columns]`, the keys of the sources side by side
  func weights(
    of query: StreamID, rows: Range<Int>?, columns: Range<Int>?, logits: Bool
  ) -> Tensor {
    guard let asking = queries.first(where: { $0.stream == query }) else {
      tensorFailure("attention weights in block \(block): no queries of '\(query)', there are \(queries.map(\.stream))")
    }
    let rows = Array(rows ?? 0..<asking.tensor.shape[2]), keys = sources.map { changed($0, for: asking).key }
    let mask = bias(for: asking)
    return logits
      ? attentionLogits(
        query: asking.tensor, keys: keys, rows: rows, columns: columns, mask: mask, scale: scale, precision: precision)
      : attentionProbabilities(
        query: asking.tensor, keys: keys, rows: rows, columns: columns, mask: mask, scale: scale, precision: precision)
  }

  private func changed(_ source: Source, for query: Query) -> AttentionKeys {
    guard let change = changes[Edge(query: query.stream, key: source.stream)] else {
      return AttentionKeys(source.key, source.value)
    }
    return AttentionKeys(
      change.logitScale == 1 ? source.key : source.key * change.logitScale,
      change.dropsValues ? Tensor(zeros: source.value.shape, dtype: source.value.dtype) : source.value)
  }

  /// The biases of a query's sources side by side; nil where there are none.
  func bias(for query: Query) -> Tensor? {
    let biases = sources.map { changes[Edge(query: query.stream, key: $0.stream)]?.bias }
    let given = biases.compactMap { $0 }
    if given.isEmpty { return nil }
    // As few batch entries, heads and queries as the biases have: the kernel spreads them.
    let lead = (0..<3).map { axis in given.map { $0.shape[axis] }.max() ?? 1 }
    return concatenated(
      zip(sources, biases).map { source, bias in
        (bias ?? Tensor(zeros: [1, 1, 1, 1])).broadcast(to: lead + [source.key.shape[2]])
      }, axis: -1)
  }
}

extension AttentionCall {
  /// Adds to the logits of a pair of streams.
  ///
  /// - Parameter bias: `[batch or 1, heads or 1, queries or 1, keys or 1]`
  public mutating func addBias(_ bias: Tensor, query: StreamID, key: StreamID) {
    guard bias.rank == 4 else {
      tensorFailure("addBias in block \(block): shape \(bias.shape), expected [batch, heads, queries, keys]")
    }
    change(query, key) { $0.bias = $0.bias.map { $0 + bias } ?? bias }
  }

  /// Multiplies the logits of a pair of streams.
  public mutating func scaleLogits(query: StreamID, key: StreamID, by factor: Float) {
    change(query, key) { $0.logitScale *= factor }
  }

  /// Removes an edge: these keys leave the softmax, which shares their weight out among the others. A query that is left
  /// without keys gets zeros.
  public mutating func forbid(query: StreamID, key: StreamID) {
    addBias(Tensor(full: [1, 1, 1, 1], -.infinity), query: query, key: key)
  }

  /// Removes some queries' sight of some keys, where a mask `[batch or 1, heads or 1, queries or 1, keys or 1]` of type
  /// `bool` is true.
  public mutating func forbid(_ mask: Tensor, query: StreamID, key: StreamID) {
    addBias(Tensor(zeros: mask.shape).filled(where: mask, with: -.infinity), query: query, key: key)
  }

  /// Lets these keys keep their share of the softmax, and give nothing.
  public mutating func dropValues(query: StreamID, key: StreamID) {
    change(query, key) { $0.dropsValues = true }
  }

  /// Multiplies the weight of some keys, before the weights are normalised, by a positive factor: what makes a word count
  /// more.
  public mutating func amplify(_ tokens: [Int], of key: StreamID, for query: StreamID, by factor: Float) {
    guard let count = sources.first(where: { $0.stream == key })?.key.shape[2], factor > 0,
      tokens.allSatisfy((0..<count).contains)
    else {
      tensorFailure("amplify in block \(block): tokens \(tokens) of '\(key)' by \(factor), expected tokens it has")
    }
    var bias = Tensor(zeros: [1, 1, 1, count])
    let logarithm = Tensor(factor).log()
    for token in tokens { bias[0, 0, 0, token] = logarithm }
    addBias(bias, query: query, key: key)
  }

  private mutating func change(_ query: StreamID, _ key: StreamID, _ body: (inout Change) -> Void) {
    body(&changes[Edge(query: query, key: key), default: Change()])
  }
}
