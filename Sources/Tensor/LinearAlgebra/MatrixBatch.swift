/// What the routines share: batches of matrices, checked, in memory LAPACK may overwrite, run in parallel.
extension Tensor {
  /// Rows and columns of the matrices in the last two axes.
  func matrixShape(_ routine: String) -> (rows: Int, columns: Int) {
    guard rank >= 2 else { tensorFailure("\(routine): shape \(shape) has no matrices: it needs two axes or more") }
    let rows = shape[rank - 2], columns = shape[rank - 1], small = min(rows, columns), large = max(rows, columns)
    // LAPACK counts its workspace in 32 bits.
    guard large < 1 << 28, 4 * small * small + 16 * large < Int(Int32.max) else {
      tensorFailure("\(routine): matrices of shape \(shape) are too large")
    }
    return (rows, columns)
  }

  /// Extent of square matrices in the last two axes.
  func squareExtent(_ routine: String) -> Int {
    let (rows, columns) = matrixShape(routine)
    guard rows == columns else { tensorFailure("\(routine): shape \(shape) has matrices that are not square") }
    return rows
  }

  /// The axes before the last `count`.
  func leadingShape(_ count: Int = 2) -> [Int] { Array(shape.dropLast(count)) }

  /// As a type LAPACK works in: `f64` stays, narrower floats become `f32`.
  func forLAPACK(_ routine: String) -> Tensor {
    switch dtype {
    case .f64, .f32: return self
    case .f16, .bf16: return converted(to: .f32)
    default: tensorFailure("\(routine): dtype \(dtype) of shape \(shape) is none of f64, f32, f16, bf16")
    }
  }

  /// The elements in memory of their own, ready to be overwritten.
  func scratch<Scalar: TensorScalar>(as type: Scalar.Type) -> (tensor: Tensor, pointer: UnsafeMutablePointer<Scalar>) {
    var result = copied()
    let pointer = result.freshPointer(as: Scalar.self)
    return (result, pointer)
  }

  static func scratch<Scalar: TensorScalar>(
    _ shape: [Int], as type: Scalar.Type
  ) -> (tensor: Tensor, pointer: UnsafeMutablePointer<Scalar>) {
    var result = Tensor(zeros: shape, dtype: Scalar.dtype)
    let pointer = result.freshPointer(as: Scalar.self)
    return (result, pointer)
  }
}

/// Runs `body` for every matrix of a batch, in parallel, and throws the first failure (by position in the batch).
func forEachMatrix(
  _ count: Int, _ routine: String, _ body: (Int) -> LinearAlgebraError.Reason?
) throws(LinearAlgebraError) {
  BLAS.prepare()
  for (index, reason) in parallelMap(count, body).enumerated() {
    if let reason { throw LinearAlgebraError(routine: routine, matrix: index, reason: reason) }
  }
}

/// Runs `body` for `0 ..< count` in parallel and returns the first of LAPACK's `info` (by position) that is not 0.
func inParallel(_ count: Int, _ body: (Int) -> Int32) -> Int32 {
  parallelMap(count, body).first { $0 != 0 } ?? 0
}

private func parallelMap<Result>(_ count: Int, _ body: (Int) -> Result) -> [Result] {
  Array(unsafeUninitializedCapacity: count) { results, initialized in
    nonisolated(unsafe) let slots = results
    parallelFor(count) { range in
      for index in range { slots.initializeElement(at: index, to: body(index)) }
    }
    initialized = count
  }
}

extension LAPACKScalar {
  /// - Parameter count: at least 1
  static func withSpace<Result>(_ count: Int, _ body: (Pointer) -> Result) -> Result {
    withUnsafeTemporaryAllocation(of: Self.self, capacity: count) { space in
      guard let start = space.baseAddress else { tensorFailure("LAPACK: no memory for \(count) elements") }
      return body(start)
    }
  }

  /// Runs `body` for columns `0 ..< columns` in parallel, some at a time: how many does not depend on the number of
  /// threads, nor do results.
  ///
  /// - Parameter space: elements that `body` gets to work with, per column
  static func inStripes(_ columns: Int, of width: Int = 64, space: Int, _ body: (Range<Int>, Pointer) -> Void) {
    parallelFor((columns + width - 1) / width) { range in
      withSpace(max(1, space * min(width, columns))) { memory in
        for start in range.map({ $0 * width }) { body(start..<min(start + width, columns), memory) }
      }
    }
  }

  /// Which of the elements, counted from 1, is the smallest, the next …
  static func sortedPlaces(_ elements: Pointer, _ count: Int, into places: UnsafeMutablePointer<Int32>) {
    let sorted = (0..<count).sorted { elements[$0] < elements[$1] }
    for (place, index) in sorted.enumerated() { places[place] = Int32(index + 1) }
  }

  /// The root of the sum of the squares.
  static func length(_ elements: UnsafePointer<Self>, _ count: Int) -> Self {
    var squares = 0.0
    for index in 0..<count { squares += Double(elements[index]) * Double(elements[index]) }
    return Self(squares.squareRoot())
  }
}

/// The first element that is NaN or infinite in a row-major matrix.
func firstNotFinite<Scalar: LAPACKScalar>(
  _ matrix: UnsafePointer<Scalar>, _ rows: Int, _ columns: Int
) -> LinearAlgebraError.Reason? {
  if Scalar.largestMagnitude(matrix, rows * columns).isFinite { return nil }
  for index in 0..<(rows * columns) where !matrix[index].isFinite {
    return .notFinite(row: index / columns, column: index % columns)
  }
  return nil
}

/// The reason behind LAPACK's `info`; `failed` says what a positive value means in this routine.
func reason(_ info: Int32, _ failed: (Int) -> LinearAlgebraError.Reason) -> LinearAlgebraError.Reason? {
  switch info {
  case 0: return nil
  case 1...: return failed(Int(info))
  case -1011, -1010: return .outOfMemory
  default: tensorFailure("LAPACK: argument \(-info) is invalid")
  }
}
