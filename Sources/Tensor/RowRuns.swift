/// Cuts the rows of several operands, `shape` of them, into runs of equal distance: what lets one product read rows of
/// any strides without a copy.
struct RowRuns {
  /// Rows per run.
  let count: Int
  /// Per operand, the distance between a run's rows, in elements.
  let steps: [Int]
  private let outerShape: [Int]
  private let outerStrides: [[Int]]  // [operand][axis]

  /// - Parameters:
  ///   - shape: extents of the axes that count rows
  ///   - strides: `[operand][axis]`, in elements
  ///   - constant: an operand that must not move within a run
  init(shape: [Int], strides: [[Int]], constant: Int? = nil) {
    var axes = shape.count
    var count = 1
    var steps = [Int](repeating: 0, count: strides.count)
    while axes > 0 {
      let axis = axes - 1
      if shape[axis] != 1 {
        if let constant, strides[constant][axis] != 0 { break }
        let here = strides.map { $0[axis] }
        let continues = zip(here, steps).allSatisfy { $0 == $1 * count }
        guard count == 1 || continues else { break }
        if count == 1 { steps = here }
        count *= shape[axis]
      }
      axes -= 1
    }
    self.count = count
    self.steps = steps
    outerShape = Array(shape.prefix(axes))
    outerStrides = strides.map { Array($0.prefix(axes)) }
  }

  /// Calls `body` with every operand's offset of a run's first row, in elements, in row-major order.
  func forEach(_ body: ([Int]) -> Void) {
    guard count > 0, !outerShape.contains(0) else { return }
    var index = [Int](repeating: 0, count: outerShape.count)
    var at = [Int](repeating: 0, count: outerStrides.count)
    while true {
      body(at)
      var axis = outerShape.count - 1
      while axis >= 0 {
        index[axis] += 1
        for operand in at.indices { at[operand] += outerStrides[operand][axis] }
        if index[axis] < outerShape[axis] { break }
        for operand in at.indices { at[operand] -= outerStrides[operand][axis] * outerShape[axis] }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
