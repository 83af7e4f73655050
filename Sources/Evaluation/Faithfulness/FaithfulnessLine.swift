/// What faithfulness found in one picture.
public struct FaithfulnessLine: Sendable, Codable {
  /// A concept and an order of tokens.
  package struct Curves: Sendable, Codable {
    package let concept: String
    package let edges: Faithfulness.Edges
    package let order: String
    /// Shares of the change when all edges are cut, over the growing shares of tokens that are cut, or that are kept while
    /// all others are cut.
    package let predictionCut, predictionKept: [Double]
    /// The same of the other concepts' maps; nil where there are none.
    package var othersCut, othersKept: [Double]?
  }

  package internal(set) var curves: [Curves] = []
  /// The change of the prediction when a cut cuts nothing, as a share of that when it cuts all.
  public private(set) var noiseFloor = 0.0
  /// Concepts for whom nothing changes when all edges are cut.
  public private(set) var idle = 0
  /// Why there is nothing else.
  public var skipped, leftOut: String?

  public init() {}

  /// - Parameters:
  ///   - changes: of passes without a cut, with an empty one, with all cut, and of every order's
  ///   - orders: their names
  mutating func add(
    _ changes: (prediction: [Double], others: [Double]?), _ concept: String, _ edges: Faithfulness.Edges,
    _ orders: [String]
  ) {
    let all = changes.prediction[2]
    guard all > 0 else {
      idle += 1
      return
    }
    noiseFloor = max(noiseFloor, changes.prediction[1] / all)
    let inner = Faithfulness.shares.count - 2
    for (index, order) in orders.enumerated() {
      let start = 3 + index * 2 * inner
      func curve(_ values: [Double], kept: Bool) -> [Double] {
        let first = start + (kept ? inner : 0)
        let inside = values[first..<first + inner].map { $0 / values[2] }
        return kept ? [1] + inside + [0] : [0] + inside + [1]
      }
      var found = Curves(
        concept: concept, edges: edges, order: order, predictionCut: curve(changes.prediction, kept: false),
        predictionKept: curve(changes.prediction, kept: true))
      if let others = changes.others, others[2] > 0 {
        (found.othersCut, found.othersKept) = (curve(others, kept: false), curve(others, kept: true))
      }
      curves.append(found)
    }
  }
}

/// The area under a curve over shares, by trapezoids.
package func area(_ values: [Double], over shares: [Double] = Faithfulness.shares) -> Double {
  zip(zip(shares, shares.dropFirst()), zip(values, values.dropFirst())).reduce(0) { sum, part in
    let ((from, to), (one, other)) = part
    return sum + (to - from) * (one + other) / 2
  }
}
