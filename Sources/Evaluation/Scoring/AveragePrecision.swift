// How well a map ranks pixels: average precision.

import Tensor

/// Area under the steps of precision over recall when scores rank the samples; equal scores form one step.
///
/// Source: scikit-learn `average_precision_score`.
///
/// - Parameters:
///   - scores: higher means more likely; NaN counts as 0
///   - positives: the truth, as many as `scores`
/// - Returns: 0 … 1; 0 when nothing is positive
public func averagePrecision(scores: [Float], positives: [Bool]) -> Double {
  guard scores.count == positives.count else {
    tensorFailure("averagePrecision: \(scores.count) scores, \(positives.count) truths")
  }
  let finite = scores.map { $0.isNaN ? 0 : $0 }
  let order = finite.indices.sorted { finite[$0] > finite[$1] }
  let total = positives.count { $0 }
  guard total > 0 else { return 0 }
  var found = 0, foundBefore = 0, result = 0.0
  for (rank, index) in order.enumerated() {
    if positives[index] { found += 1 }
    let isLastOfStep = rank + 1 == order.count || finite[order[rank + 1]] != finite[index]
    guard isLastOfStep else { continue }
    result += Double(found - foundBefore) / Double(total) * Double(found) / Double(rank + 1)
    foundBefore = found
  }
  return result
}

/// Average precision of a picture: every pair of class and pixel is a sample, positive where the pixel has the class.
///
/// - Parameters:
///   - scores: row-major `[classes, pixels]`
///   - target: the true class per pixel; negative for a pixel that is left out
/// - Returns: 0 … 1
public func averagePrecision(classScores scores: [Float], target: [Int]) -> Double {
  guard target.isEmpty ? scores.isEmpty : scores.count % target.count == 0 else {
    tensorFailure("averagePrecision: \(scores.count) scores for \(target.count) pixels")
  }
  let kept = target.isEmpty ? [] : scores.indices.filter { target[$0 % target.count] >= 0 }
  return averagePrecision(
    scores: kept.map { scores[$0] }, positives: kept.map { $0 / target.count == target[$0 % target.count] })
}

/// Average precision of cells that hold several pixels of one score each, as tokens do.
///
/// Cells are ranked by score; equal ones keep their order and each is a step of its own. The result is that of the
/// up-scaled map with the pixels of a cell taken together.
///
/// - Parameters:
///   - hits: positive pixels of each cell, as many as `scores`
///   - cellSize: pixels of a cell
/// - Returns: 0 … 1; 0 when nothing is positive
public func averagePrecision(cellScores scores: [Float], hits: [Int], cellSize: Int) -> Double {
  guard scores.count == hits.count else {
    tensorFailure("averagePrecision: \(scores.count) scores, \(hits.count) counts")
  }
  let total = hits.reduce(0, +)
  guard total > 0 else { return 0 }
  let order = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
  var found = 0, result = 0.0
  for (rank, index) in order.enumerated() {
    found += hits[index]
    result += Double(hits[index]) / Double(total) * Double(found) / Double((rank + 1) * cellSize)
  }
  return result
}

/// The mean; 0 of nothing.
func mean(_ values: some Collection<Double>) -> Double {
  values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
}

/// Which values lie above the mean of all.
func aboveMean(_ values: [Float]) -> [Bool] {
  let threshold = Float(mean(values.map(Double.init)))
  return values.map { $0 > threshold }
}
