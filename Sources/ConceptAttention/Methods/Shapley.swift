import Tensor

/// How much each player adds to the value of a game, averaged over all orders in which they may join.
///
/// `φ_j = Σ over S without j of |S|! (n - 1 - |S|)! / n! · (v(S ∪ j) - v(S))`
///
/// Source: Shapley 1953.
///
/// - Parameter values: of every coalition, `[2^players, …]`; bit `i` of the row's number tells whether player `i` is in
/// - Returns: `[players, …]`; they add up to the value of all less that of none
public func shapleyValues(_ values: Tensor) -> Tensor {
  let count = values.shape[0], players = count.trailingZeroBitCount
  guard count == 1 << players else { tensorFailure("shapleyValues: \(count) coalitions, expected a power of two") }
  var factorials: [Double] = [1]
  for number in 1...max(players, 1) { factorials.append(factorials[number - 1] * Double(number)) }
  var weights: [Float] = []
  for player in 0..<players {
    for coalition in 0..<count {
      let isIn = coalition >> player & 1 == 1, others = coalition.nonzeroBitCount - (isIn ? 1 : 0)
      let weight = factorials[others] * factorials[players - 1 - others] / factorials[players]
      weights.append(Float(isIn ? weight : -weight))
    }
  }
  let flat = values.reshaped(count, values.count / count)
  return Tensor.matmul(Tensor(weights, shape: [players, count]), flat)
    .reshaped([players] + values.shape.dropFirst())
}
