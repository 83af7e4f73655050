/// Walks several operands of one shape row by row: the loop behind every op that takes any strides.
///
/// Axes that all operands step through as one are merged, axes of extent 1 dropped, and a transpose-like copy is
/// walked so that operand 0 (the one written) moves through memory in order.
struct StridedLoop: Sendable {
  /// Extent and per-operand strides of the axes outside a row.
  private let outerShape: [Int]
  private let outerStrides: [[Int]]  // [axis][operand]
  /// Elements in a row.
  let innerCount: Int
  /// Per operand, the step within a row, in elements.
  let innerStrides: [Int]
  /// Number of rows; 0 when the shape has no elements.
  let rows: Int

  /// - Parameters:
  ///   - shape: the common (broadcast) shape
  ///   - strides: per operand, one stride per axis, in elements; 0 where broadcast
  init(shape: [Int], strides: [[Int]]) {
    var axes: [(extent: Int, steps: [Int])] = []
    for axis in shape.indices where shape[axis] != 1 {
      let steps = strides.map { $0[axis] }
      if let last = axes.last, zip(last.steps, steps).allSatisfy({ $0 == $1 * shape[axis] }) {
        axes[axes.count - 1] = (last.extent * shape[axis], steps)
      } else {
        axes.append((shape[axis], steps))
      }
    }
    let inner = axes.popLast() ?? (1, strides.map { _ in 0 })
    innerCount = inner.extent
    innerStrides = inner.steps
    outerShape = axes.map(\.extent)
    outerStrides = axes.map(\.steps)
    rows = inner.extent == 0 ? 0 : outerShape.reduce(1, *)
  }

  /// The plane in which operand 0 runs along rows and operand 1 along columns, if there is one that is worth it: its rows,
  /// operand 0's step between them, and the loop over everything else.
  var transposition: (rows: Int, rowStep: Int, others: StridedLoop)? {
    guard innerStrides.count == 2, innerStrides[0] == 1, innerStrides[1] != 1, innerCount >= 4,
      let axis = outerShape.indices.first(where: { outerStrides[$0][1] == 1 && outerShape[$0] >= 4 })
    else { return nil }
    return (outerShape[axis], outerStrides[axis][0], others(than: axis))
  }

  /// The rows in which operand 0 takes every element of operand 1 several times, one after the other, if there are:
  /// elements of operand 1, how often each, and the loop over everything else.
  var repetition: (count: Int, times: Int, others: StridedLoop)? {
    guard innerStrides == [1, 0], innerCount > 1, let row = outerShape.indices.last,
      outerStrides[row] == [innerCount, 1]
    else { return nil }
    return (outerShape[row], innerCount, others(than: row))
  }

  /// The loop over the axes outside a row but `axis`.
  private func others(than axis: Int) -> StridedLoop {
    let rest = outerShape.indices.filter { $0 != axis }
    return StridedLoop(
      shape: rest.map { outerShape[$0] },
      strides: innerStrides.indices.map { operand in rest.map { outerStrides[$0][operand] } })
  }

  /// Calls `body` once per row with every operand's offset of the row's first element, in elements. Long walks are
  /// split over the thread pool: rows must not depend on each other.
  ///
  /// - Parameter weight: elements that each step of a row stands for
  func forEachRow(weight: Int = 1, _ body: (UnsafePointer<Int>) -> Void) {
    // A row worth of at least 16k elements per chunk keeps the cost of a region (some µs) below a few percent.
    let grain = max(1, 16384 / max(1, innerCount * weight))
    parallelFor(rows, grain: grain) { range in walk(range, body) }
  }

  /// As `forEachRow`, but one row after the other in row-major order on the calling thread: for rows that depend on
  /// each other.
  func forEachRowInOrder(_ body: (UnsafePointer<Int>) -> Void) {
    if rows > 0 { walk(0..<rows, body) }
  }

  private func walk(_ range: Range<Int>, _ body: (UnsafePointer<Int>) -> Void) {
    let operands = innerStrides.count
    withUnsafeTemporaryAllocation(of: Int.self, capacity: operands + outerShape.count) { scratch in
      guard let offsets = scratch.baseAddress else { return }
      scratch.initialize(repeating: 0)
      let position = offsets + operands
      seek(range.lowerBound, offsets, position)
      for row in range {
        body(UnsafePointer(offsets))
        if row + 1 < range.upperBound { advance(offsets, position) }
      }
    }
  }

  private func seek(_ row: Int, _ offsets: UnsafeMutablePointer<Int>, _ position: UnsafeMutablePointer<Int>) {
    var rest = row
    for axis in outerShape.indices.reversed() {
      position[axis] = rest % outerShape[axis]
      rest /= outerShape[axis]
      for operand in innerStrides.indices { offsets[operand] += position[axis] * outerStrides[axis][operand] }
    }
  }

  private func advance(_ offsets: UnsafeMutablePointer<Int>, _ position: UnsafeMutablePointer<Int>) {
    var axis = outerShape.count - 1
    while axis >= 0 {
      position[axis] += 1
      let wraps = position[axis] == outerShape[axis]
      let steps = wraps ? 1 - outerShape[axis] : 1
      for operand in innerStrides.indices { offsets[operand] += steps * outerStrides[axis][operand] }
      if !wraps { return }
      position[axis] = 0
      axis -= 1
    }
  }
}
