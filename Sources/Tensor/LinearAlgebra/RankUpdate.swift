import COpenBLAS

/// `A - L Rᵀ` that is not carried out yet: a reduction to two or three diagonals (LAPACK `latrd`, `labrd`) needs single
/// columns and products of what is left of `A` after every reflection, and the rest only after many.
///
/// Columns of `A` are in stripes, each on one thread: it stays in that core's caches, from which it is read for every
/// reflection. Stripes depend on the matrix alone, so that results do not depend on the number of threads.
struct RankUpdate<Scalar: LAPACKScalar> {
  typealias Pointer = UnsafeMutablePointer<Scalar>

  /// Reflections that are carried out together: each adds two columns to `L` and `R`.
  static var together: Int { 16 }

  private var stripeWidth: Int { 64 }

  /// Fewer are read in some microseconds, while threads that wait for each other take one.
  private static var elementsForThreads: Int { 1 << 16 }

  private let rows: Int
  private let columns: Int
  private let a: Pointer
  private let leading: Int
  private let isTriangle: Bool
  private let memory: (left: Tensor, right: Tensor, coefficients: Tensor)
  private let leftColumns: Pointer
  private let rightColumns: Pointer
  private let coefficients: Pointer

  /// - Parameters:
  ///   - a: `A`, `[rows, columns]`, by columns
  ///   - leading: from one column to the next
  ///   - isTriangle: whether `A` is symmetric and only what lies on and below the diagonal is there
  init(_ rows: Int, _ columns: Int, _ a: Pointer, _ leading: Int, isTriangle: Bool) {
    (self.a, self.rows, self.columns, self.leading, self.isTriangle) = (a, rows, columns, leading, isTriangle)
    let (left, leftColumns) = Tensor.scratch([2 * Self.together, rows], as: Scalar.self)
    let (right, rightColumns) = Tensor.scratch([2 * Self.together, columns], as: Scalar.self)
    let (coefficientMemory, coefficients) = Tensor.scratch([2 * Self.together], as: Scalar.self)
    (memory, self.leftColumns, self.rightColumns, self.coefficients) =
      ((left, right, coefficientMemory), leftColumns, rightColumns, coefficients)
  }

  /// Column `index` of `L`, `[rows]`.
  func left(_ index: Int) -> Pointer { leftColumns + index * rows }
  /// Column `index` of `R`, `[columns]`.
  func right(_ index: Int) -> Pointer { rightColumns + index * columns }

  /// Subtracts from a column of `A` what the first `count` columns of `L` and `R` change in it, from row `first` on.
  func bringColumn(_ column: Int, from first: Int, upToDate count: Int) {
    guard count > 0 else { return }
    Scalar.gemv(
      CblasNoTrans, rows - first, count, -1, leftColumns + first, rows, rightColumns + column, columns, 1,
      a + first + column * leading)
  }

  /// The same of `elements` of a row, from column `first` on.
  func bring(_ elements: Pointer, ofRow row: Int, from first: Int, upToDate count: Int) {
    guard count > 0 else { return }
    Scalar.gemv(
      CblasNoTrans, columns - first, count, -1, rightColumns + first, columns, leftColumns + row, rows, 1, elements)
  }

  /// `result -= L Rᵀ v` from row `firstRow` and column `firstColumn` on.
  func correct(
    _ result: Pointer, _ v: Pointer, from firstRow: Int, _ firstColumn: Int, count: Int
  ) {
    guard count > 0 else { return }
    Scalar.gemv(
      CblasTrans, columns - firstColumn, count, 1, rightColumns + firstColumn, columns, v, 1, 0, coefficients)
    Scalar.gemv(
      CblasNoTrans, rows - firstRow, count, -1, leftColumns + firstRow, rows, coefficients, 1, 1, result)
  }

  /// `result -= R Lᵀ v`.
  func correctTransposed(
    _ result: Pointer, _ v: Pointer, from firstRow: Int, _ firstColumn: Int, count: Int
  ) {
    guard count > 0 else { return }
    Scalar.gemv(CblasTrans, rows - firstRow, count, 1, leftColumns + firstRow, rows, v, 1, 0, coefficients)
    Scalar.gemv(
      CblasNoTrans, columns - firstColumn, count, -1, rightColumns + firstColumn, columns, coefficients, 1, 1, result)
  }

  /// Carries out the first `count` columns, from row and column `first` on.
  func carryOut(_ count: Int, from first: Int) {
    forEachStripe(from: first) { _, stripe in
      let row = isTriangle ? stripe.lowerBound : first
      Scalar.gemm(
        CblasColMajor, CblasNoTrans, CblasTrans, rows - row, stripe.count, count, -1, leftColumns + row, rows,
        rightColumns + stripe.lowerBound, columns, 1, a + row + stripe.lowerBound * leading, leading)
    }
  }

  var stripeCount: Int { (columns + stripeWidth - 1) / stripeWidth }

  /// Runs `body` with each stripe's number and its columns from `first` on.
  func forEachStripe(from first: Int, _ body: (Int, Range<Int>) -> Void) {
    guard first < columns else { return }
    let elements = (rows - first) * (columns - first) / (isTriangle ? 2 : 1)
    parallelInPlace(stripeCount, threads: elements < Self.elementsForThreads ? 1 : Threads.count) { stripe in
      guard stripe >= first / stripeWidth else { return }
      body(stripe, max(first, stripe * stripeWidth)..<min(columns, (stripe + 1) * stripeWidth))
    }
  }

  /// The sum of what every stripe has contributed to the rows from `first` on.
  ///
  /// - Parameter parts: `[stripeCount, rows]`; of a triangle stripes contribute to their own rows and those below
  func addParts(_ parts: Pointer, from first: Int, into sum: Pointer) {
    let stripe = first / stripeWidth
    (sum + first).update(from: parts + stripe * rows + first, count: rows - first)
    for stripe in (stripe + 1)..<max(stripe + 1, stripeCount) {
      let part = parts + stripe * rows
      for row in (isTriangle ? stripe * stripeWidth : first)..<rows { sum[row] += part[row] }
    }
  }
}
