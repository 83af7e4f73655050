import Glibc
import Tensor

/// T5's learned bias per head and distance: near distances one by one, far ones in logarithmic buckets.
///
/// Source: transformers `T5Attention._relative_position_bucket`, `compute_bias` (bidirectional).
public struct RelativePositionBias: Sendable {
  /// `[buckets, heads]`
  public var embedding: Tensor
  public var maxDistance: Int

  public init(buckets: Int, heads: Int, maxDistance: Int, _ w: Weights) {
    embedding = w.tensor("weight", buckets, heads)
    self.maxDistance = maxDistance
  }

  /// - Returns: `[1, heads, queries, keys]` in `f32`
  public func callAsFunction(queries: Int, keys: Int) -> Tensor {
    let buckets = Self.buckets(queries: queries, keys: keys, count: embedding.shape[0], maxDistance: maxDistance)
    let bias = embedding.take(0, Tensor(scalars: buckets)).converted(to: .f32)
    return bias.reshaped(queries, keys, embedding.shape[1]).permuted(2, 0, 1).unsqueezed(0)
  }

  /// The bucket of every offset `key - query`, row by row, `queries * keys` values.
  public static func buckets(queries: Int, keys: Int, count: Int, maxDistance: Int) -> [Int64] {
    let half = count / 2, exact = half / 2
    var byOffset: [Int64] = []
    for offset in -(queries - 1)...max(0, keys - 1) {
      let distance = abs(offset)
      var bucket = distance
      if distance >= exact {
        let steps = logf(Float(distance) / Float(exact)) / Float(log(Double(maxDistance) / Double(exact)))
        bucket = min(half - 1, exact + Int(steps * Float(half - exact)))
      }
      byOffset.append(Int64(bucket + (offset > 0 ? half : 0)))
    }
    return (0..<queries).flatMap { query in (0..<keys).map { byOffset[$0 - query + queries - 1] } }
  }
}
