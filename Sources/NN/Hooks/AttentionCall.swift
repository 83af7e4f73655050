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
    /// What it is rotated by; nil for a stream that is not.
    public private(set) var rotary: RotaryTable?

    public init(stream: StreamID, tensor: Tensor, rotary: RotaryTable? = nil) {
      self.stream = stream
      self.tensor = tensor
      self.rotary = rotary
    }

    /// Puts the queries at other positions: undoes their rotation, and rotates them anew.
    ///
    /// - Parameter table: nil for none
    public mutating func rotate(by table: RotaryTable?) {
      tensor = tensor.rotated(from: rotary, to: table)
      rotary = table
    }
  }
  public struct Source: Sendable {
    public let stream: StreamID
    /// Rotated key and value, `[batch, heads, tokens, headDim]`.
    public var key, value: Tensor
    /// What the key is rotated by; nil for a stream that is not.
    public private(set) var rotary: RotaryTable?

    public init(stream: StreamID, key: Tensor, value: Tensor, rotary: RotaryTable? = nil) {
      self.stream = stream
      self.key = key
      self.value = value
      self.rotary = rotary
    }

    /// Puts the keys at other positions: undoes their rotation, and rotates them anew.
    ///
    /// - Parameter table: nil for none
    public mutating func rotate(by table: RotaryTable?) {
      key = key.rotated(from: rotary, to: table)
      rotary = table
    }
  }

  /// What is changed of the attention of one stream to another.
  public struct Change: Sendable {
    /// Each `[batch or 1, heads or 1, queries or 1, keys or 1]`: of type `bool`, true where something may be seen; else added
    /// to the logits. The kernel reads each where it lies, and none is spread out.
    public var masks: [Tensor] = []
    /// The logits are multiplied by it, before the bias is added.
    public var logitScale: Float = 1
    /// Whether the keys keep their share of the softmax and give nothing.
    public var dropsValues = false
  }

  /// Who looks at whom.
  public struct Edge: Hashable, Sendable {
    public let query, key: StreamID

    public init(query: StreamID, key: StreamID) {
      self.query = query
      self.key = key
    }
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
  /// Whether query `i` sees keys `0 ... i` only, as in CLIP's text encoder.
  public var isCausal: Bool
  public private(set) var changes: [Edge: Change] = [:]

  public init(
    block: BlockID, part: Part = .joint, queries: [Query], sources: [Source], scale: Float? = nil,
    precision: AttentionPrecision = .f32, isCausal: Bool = false
  ) {
    self.block = block
    self.part = part
    self.queries = queries
    self.sources = sources
    self.scale = scale
    self.precision = precision
    self.isCausal = isCausal
  }

  /// The attention itself, which `attend` is given as `next`.
  ///
  /// - Returns: one output per query, `[batch, heads, tokens, headDim]`
  public func compute() -> [Tensor] {
    if changes.isEmpty {
      return scaledDotProductAttention(
        queries: queries.map(\.tensor), keys: sources.map { AttentionKeys($0.key, $0.value) }, causal: isCausal,
        scale: scale, precision: precision)
    }
    return queries.map { query in
      scaledDotProductAttention(
        queries: [query.tensor], keys: sources.map { changed($0, for: query) }, causal: isCausal, scale: scale,
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
    let asking = asking(query), keys = sources.map { changed($0, for: asking) }
    let rows = Array(rows ?? 0..<asking.tensor.shape[2])
    return logits
      ? attentionLogits(
        query: asking.tensor, keys: keys, rows: rows, columns: columns, causal: isCausal, scale: scale,
        precision: precision)
      : attentionProbabilities(
        query: asking.tensor, keys: keys, rows: rows, columns: columns, causal: isCausal, scale: scale,
        precision: precision)
  }

  /// The weights of one stream's queries as something to multiply by, with all that is changed of them.
  ///
  /// - Parameter rows: nil for all
  func matrix(of query: StreamID, rows: Range<Int>?) -> AttentionMatrix {
    let asking = asking(query), rows = rows ?? 0..<asking.tensor.shape[2]
    guard rows.lowerBound >= 0, rows.upperBound <= asking.tensor.shape[2] else {
      tensorFailure("attention matrix in block \(block): no rows \(rows) in queries \(asking.tensor.shape)")
    }
    func chosen(_ mask: Tensor) -> Tensor {
      mask.shape[2] == 1 ? mask : mask.narrow(2, from: rows.lowerBound, count: rows.count)
    }
    var keys = sources.map { source in
      var keys = changed(source, for: asking)
      keys.masks = keys.masks.map(chosen)
      return keys
    }
    if isCausal, keys.count == 1 {
      let columns = keys[0].key.shape[2]
      let seen = rows.flatMap { row in (0..<columns).map { $0 <= row } }
      keys[0].masks.append(Tensor(scalars: seen, shape: [1, 1, rows.count, columns]))
    }
    return AttentionMatrix(
      query: asking.tensor.narrow(2, from: rows.lowerBound, count: rows.count), keys: keys, scale: scale)
  }

  private func asking(_ query: StreamID) -> Query {
    guard let asking = queries.first(where: { $0.stream == query }) else {
      tensorFailure("attention weights in block \(block): no queries of '\(query)', there are \(queries.map(\.stream))")
    }
    return asking
  }

  private func changed(_ source: Source, for query: Query) -> AttentionKeys {
    var keys = AttentionKeys(source.key, source.value)
    guard let change = changes[Edge(query: query.stream, key: source.stream)] else { return keys }
    keys.logitFactor = change.logitScale
    keys.masks = change.masks
    if change.dropsValues {
      let width = source.value.shape[3]
      keys.value = Tensor(zeros: [1, 1, 1, width], dtype: source.value.dtype).broadcast(to: source.value.shape)
    }
    return keys
  }

  /// The masks of a query's sources side by side, added up; nil where there are none. For the way back, which takes one.
  func bias(for query: Query) -> Tensor? {
    let all = sources.map { changes[Edge(query: query.stream, key: $0.stream)]?.masks ?? [] }
    if all.allSatisfy(\.isEmpty) { return nil }
    let sums = all.map { masks in
      masks.map { $0.dtype == .bool ? Tensor(zeros: $0.shape).filled(where: $0.logicalNot(), with: -.infinity) : $0 }
        .reduce(Tensor(zeros: [1, 1, 1, 1])) { $0 + $1 }
    }
    // As few batch entries, heads and queries as the masks have: the kernel spreads them.
    let lead = (0..<3).map { axis in sums.map { $0.shape[axis] }.max() ?? 1 }
    return concatenated(zip(sources, sums).map { $1.broadcast(to: lead + [$0.key.shape[2]]) }, axis: -1)
  }
}

extension AttentionCall {
  /// Whether this call has queries of the one and keys of the other: a block makes several calls where streams see different
  /// ones. Changes of other pairs have no effect.
  public func has(query: StreamID, key: StreamID) -> Bool {
    queries.contains { $0.stream == query } && sources.contains { $0.stream == key }
  }

  /// Adds to the logits of a pair of streams.
  ///
  /// - Parameter bias: `[batch or 1, heads or 1, queries or 1, keys or 1]`
  public mutating func addBias(_ bias: Tensor, query: StreamID, key: StreamID) {
    guard bias.rank == 4 else {
      tensorFailure("addBias in block \(block): shape \(bias.shape), expected [batch, heads, queries, keys]")
    }
    change(query, key) { $0.masks.append(bias) }
  }

  /// Multiplies the logits of a pair of streams.
  public mutating func scaleLogits(query: StreamID, key: StreamID, by factor: Float) {
    change(query, key) { $0.logitScale *= factor }
  }

  /// Removes an edge: these keys leave the softmax, which shares their weight out among the others. A query that is left
  /// without keys gets zeros.
  public mutating func forbid(query: StreamID, key: StreamID) {
    forbid(Tensor(ones: [1, 1, 1, 1], dtype: .bool), query: query, key: key)
  }

  /// Removes some queries' sight of some keys, where a mask `[batch or 1, heads or 1, queries or 1, keys or 1]` of type
  /// `bool` is true.
  public mutating func forbid(_ mask: Tensor, query: StreamID, key: StreamID) {
    guard mask.rank == 4, mask.dtype == .bool else {
      tensorFailure(
        "forbid in block \(block): \(mask.dtype) of shape \(mask.shape), expected bool [batch, heads, queries, keys]")
    }
    show(mask.logicalNot(), query: query, key: key)
  }

  /// Lets some queries see only those keys where a mask of type `bool` is true.
  mutating func show(_ mask: Tensor, query: StreamID, key: StreamID) {
    change(query, key) { $0.masks.append(mask) }
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
