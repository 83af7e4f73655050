import NN
import Tensor

// Attention weights in pieces, so that the matrix of all queries and keys is never whole.
extension BlockView {
  /// Rows at once, of all heads.
  private static let rowsAtOnce = 256

  /// Attention weights of one stream on another, averaged over the heads.
  ///
  /// - Parameter headWeights: how much every head counts at every query, `[batch, heads, queries]`; nil for a plain mean
  /// - Returns: `[batch, queries, keys]`; a part of the softmax over all that the stream reads
  public func meanProbabilities(query: StreamID, key: StreamID, headWeights: Tensor? = nil) -> Tensor {
    guard let columns = columns(of: key, readBy: query) else {
      tensorFailure("meanProbabilities in block \(id): '\(query)' does not read '\(key)'")
    }
    let parts = rowRanges(query).map { rows in
      averaged(probabilities(query: query, rows: rows, columns: columns), headWeights, rows)
    }
    return concatenated(parts, axis: 1)
  }

  /// The streams that image tokens read, in their order: those whose tokens make the joint attention matrix. Riders are not
  /// among them, nor streams that ask nothing themselves.
  public var jointStreams: [StreamID] {
    guard let image = self[.image] else { return [] }
    return streams.filter { image.reads.contains($0.id) && $0.query.shape[2] > 0 && $0.key.shape[2] > 0 }.map(\.id)
  }

  /// The joint attention matrix of this pass, to multiply by several times.
  public var jointMatrix: JointAttentionMatrix { JointAttentionMatrix(self) }

  /// The attention matrix of all tokens of the model's own, `[batch, heads, tokens, tokens]`, rows adding up to 1, in the
  /// order of `jointStreams`. For small models and pictures; see `chained` for large ones.
  public var jointProbabilities: Tensor {
    concatenated(jointStreams.map { probabilities(query: $0, keys: jointStreams) }, axis: 2)
  }

  /// States one step along the joint attention matrix: `JointAttentionMatrix.chained`.
  public func chained(_ states: Tensor, headWeights: Tensor? = nil) -> Tensor {
    jointMatrix.chained(states, headWeights: headWeights)
  }

  /// What every token gathers of numbers that tokens have: `JointAttentionMatrix.gathered`.
  public func gathered(_ values: Tensor, headWeights: Tensor? = nil) -> Tensor {
    jointMatrix.gathered(values, headWeights: headWeights)
  }

  private func rowRanges(_ stream: StreamID) -> [Range<Int>] {
    let count = self[stream]?.query.shape[2] ?? 0
    return Swift.stride(from: 0, to: count, by: Self.rowsAtOnce).map { $0..<min(count, $0 + Self.rowsAtOnce) }
  }

  /// - Parameter probabilities: `[batch, heads, rows, columns]`
  private func averaged(_ probabilities: Tensor, _ weights: Tensor?, _ rows: Range<Int>) -> Tensor {
    guard let weights else { return probabilities.mean(1) }
    return (probabilities * weights.narrow(2, from: rows.lowerBound, count: rows.count).unsqueezed(3)).sum(1)
  }
}

/// The attention matrix of all tokens of the model's own in one block, averaged over heads, as something to multiply by: nothing
/// of the size of the matrix is ever in memory.
public struct JointAttentionMatrix {
  /// In this order its rows and columns lie.
  public let streams: [StreamID]
  private let parts: [AttentionMatrix]

  init(_ block: BlockView) {
    streams = block.jointStreams
    parts = streams.map { [streams] in block.matrix(query: $0, keys: streams) }
  }

  /// States one step along, `xᵀ A`: where the weight of every token goes that it gives to what it looks at. A state of ones gives
  /// the mass of every column: attention sinks.
  ///
  /// - Parameters:
  ///   - states: `[batch, count, tokens]`
  ///   - headWeights: how much every head counts, `[batch or 1, heads]`, adding up to 1; nil for a plain mean
  /// - Returns: as `states`
  public func chained(_ states: Tensor, headWeights: Tensor? = nil) -> Tensor {
    var start = 0
    var result = Tensor(zeros: states.shape)
    for part in parts {
      let rows = part.query.shape[2]
      let own = states.narrow(2, from: start, count: rows).transposed().unsqueezed(1)
      result += averaged(part.transposedTimes(own), headWeights).transposed()
      start += rows
    }
    return result
  }

  /// What every token gathers of numbers that tokens have, `A x`.
  ///
  /// - Parameter values: `[batch, tokens, count]`
  /// - Returns: as `values`
  public func gathered(_ values: Tensor, headWeights: Tensor? = nil) -> Tensor {
    concatenated(parts.map { averaged($0.times(values.unsqueezed(1)), headWeights) }, axis: 1)
  }

  /// - Parameter x: `[batch, heads, tokens, count]`
  private func averaged(_ x: Tensor, _ weights: Tensor?) -> Tensor {
    guard let weights else { return x.mean(1) }
    return (x * weights.unsqueezed(2).unsqueezed(3)).sum(1)
  }
}

extension Tensor {
  /// Shifted and scaled to 0 … 1 along some axes.
  ///
  /// - Parameter epsilon: added to the largest value before it divides; with 0, what is the same everywhere becomes 0
  func minMaxNormalized(_ axes: [Int], epsilon: Float = 0) -> Tensor {
    let shifted = self - amin(axes, keepDims: true), largest = shifted.amax(axes, keepDims: true)
    if epsilon > 0 { return shifted / (largest + epsilon) }
    return shifted / largest.filled(where: largest.equal(to: 0), with: 1)
  }
}
