import Tensor
import Testing

/// How far a result may be from the expected one: `absolute + relativeToMax * max|expected|`.
public struct Tolerance: Sendable, Decodable {
  public var absolute: Double
  public var relativeToMax: Double

  public init(absolute: Double, relativeToMax: Double = 0) {
    self.absolute = absolute
    self.relativeToMax = relativeToMax
  }

  enum CodingKeys: String, CodingKey {
    case absolute = "abs"
    case relativeToMax = "rel_to_max"
  }
}

/// Expects `actual` to have `expected`'s shape and, at every position, its value within `tolerance`; a failure
/// names the worst position, both values and the error against the tolerance. NaN equals NaN only.
public func expectClose(
  _ actual: Tensor, _ expected: Tensor, _ tolerance: Tolerance, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.shape == expected.shape else {
    Issue.record("\(what) shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
    return
  }
  expectClose(
    actual.converted(to: .f64).scalars(as: Double.self), expected.converted(to: .f64).scalars(as: Double.self),
    tolerance, what, shape: actual.shape, sourceLocation: sourceLocation)
}

public func expectClose(
  _ actual: [Double], _ expected: [Double], _ tolerance: Tolerance, _ what: String = "", shape: [Int]? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record("\(what) has \(actual.count) values, expected \(expected.count)", sourceLocation: sourceLocation)
    return
  }
  let scale = expected.lazy.map { abs($0) }.filter { $0.isFinite }.max() ?? 0
  let allowed = tolerance.absolute + tolerance.relativeToMax * scale
  var worst = -1, worstError = 0.0
  for index in actual.indices {
    let a = actual[index], e = expected[index]
    if a == e || (a.isNaN && e.isNaN) { continue }
    let error = abs(a - e)
    if !(error <= worstError) || error.isNaN {
      worst = index
      worstError = error.isNaN ? .infinity : error
    }
  }
  guard worstError > allowed else { return }
  let place = position(worst, shape ?? [actual.count])
  Issue.record(
    "\(what) at \(place): \(actual[worst]), expected \(expected[worst]): error \(worstError) > \(allowed)",
    sourceLocation: sourceLocation)
}

private func position(_ index: Int, _ shape: [Int]) -> [Int] {
  var rest = index, place: [Int] = []
  for extent in shape.reversed() {
    place.insert(rest % extent, at: 0)
    rest /= extent
  }
  return place
}
