/// The attention weights `A = softmax(scale · query keyᵀ + masks)` as something to multiply by: `A x`, `Aᵀ x` and the mass of
/// the columns, in the kernel's blocks. The weights themselves are never in memory.
///
/// `Aᵀ x` is attention the other way round: keys ask, queries answer, and every answer is weighted by the normaliser that its own
/// row had. So what is kept is one number for each head and query.
public struct AttentionMatrix: Sendable {
  /// `[batch, heads, queries, headDim]`
  public let query: Tensor
  /// In the order of the columns.
  public let keys: [AttentionKeys]
  public let scale: Float
  public let precision: AttentionPrecision
  /// `log Σ exp(logit)` of every row, `[batch, heads, queries]`; -infinity for a query that may attend to nothing, whose row
  /// is zeros.
  public let logSumExp: Tensor

  /// - Parameters:
  ///   - query: `[batch, heads, queries, headDim]`
  ///   - keys: each `[batch, heads, tokens, headDim]`, with their factors and masks; values are not looked at
  ///   - scale: `1 / √headDim` unless given
  ///   - precision: as in `scaledDotProductAttention`; with `.bf16` the weights too are rounded when they are multiplied
  public init(query: Tensor, keys: [AttentionKeys], scale: Float? = nil, precision: AttentionPrecision = .f32) {
    self.query = query
    self.keys = keys
    self.scale = scale ?? 1 / Float(query.shape.last ?? 1).squareRoot()
    self.precision = precision
    let nothing = keys.map { $0.with(value: Tensor(zeros: [1, 1, 1, 1]).broadcast(to: [1, 1, $0.key.shape[2], 1])) }
    logSumExp =
      attentionWithLogSumExp(queries: [query], keys: nothing, scale: self.scale, precision: precision)[0].logSumExp
  }

  /// Number of columns.
  public var columns: Int { keys.reduce(0) { $0 + $1.key.shape[2] } }

  /// `A x`: what every query gathers of numbers that keys have.
  ///
  /// - Parameter x: `[batch or 1, heads or 1, columns, count]`
  /// - Returns: `[batch, heads, queries, count]`
  public func times(_ x: Tensor) -> Tensor {
    require(x, rows: columns, "times")
    var start = 0
    let sources = keys.map { source in
      let count = source.key.shape[2]
      defer { start += count }
      return source.with(value: x.narrow(2, from: start, count: count))
    }
    return scaledDotProductAttention(queries: [query], keys: sources, scale: scale, precision: precision)[0]
  }

  /// `Aᵀ x`: what every key is handed of numbers that queries have.
  ///
  /// - Parameter x: `[batch or 1, heads or 1, queries, count]`
  /// - Returns: `[batch, heads, columns, count]`
  public func transposedTimes(_ x: Tensor) -> Tensor {
    require(x, rows: query.shape[2], "transposedTimes")
    let parts = keys.map { source in
      let back = turned(source, x)
      return back.output * back.logSumExp.exp().unsqueezed(3)
    }
    return concatenated(parts, axis: 2)
  }

  /// How much all queries together look at every key, `[batch, heads, columns]`: where attention sinks. The sum over the
  /// columns is the number of queries.
  public var columnMass: Tensor {
    let one = Tensor(zeros: [1, 1, 1, 1]).broadcast(to: [1, 1, query.shape[2], 1])
    return concatenated(keys.map { turned($0, one).logSumExp.exp() }, axis: 2)
  }

  /// Attention of keys to queries, in which a logit is `logit - logSumExp` of the query's row.
  private func turned(_ source: AttentionKeys, _ x: Tensor) -> AttentionOutput {
    var back = AttentionKeys(query, x)
    back.logitFactor = source.logitFactor
    // A row of nothing stays nothing: minus its -infinity would be the opposite.
    let normalisers = (logSumExp * -1).filled(where: logSumExp.equal(to: -.infinity), with: -.infinity)
    back.masks = source.masks.map { mask in
      mask.reshaped([Int](repeating: 1, count: 4 - mask.rank) + mask.shape).transposed()
    }
    back.masks.append(normalisers.unsqueezed(2))
    let key = source.key.broadcast(to: Array(query.shape.prefix(2) + source.key.shape.suffix(2)))
    return attentionWithLogSumExp(queries: [key], keys: [back], scale: scale, precision: precision)[0]
  }

  private func require(_ x: Tensor, rows: Int, _ operation: String) {
    guard x.rank == 4, x.shape[2] == rows else {
      tensorFailure(
        "AttentionMatrix.\(operation): shape \(x.shape), expected [batch, heads, \(rows), count]")
    }
  }
}

extension AttentionKeys {
  fileprivate func with(value: Tensor) -> AttentionKeys {
    var keys = self
    keys.value = value
    return keys
  }
}
