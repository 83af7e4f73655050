/// What LAPACK's drivers `gesdd` and `syevd`, and `geqrf` with `orgqr`, do: small matrices are left to them, large ones
/// go through the same steps in parallel. Matrices lie by columns and are overwritten; the result is LAPACK's `info`.
extension LAPACKScalar {
  /// `A = U S Vᵀ` of `[rows, columns]` with at least as many rows as columns, of which there is one or more.
  ///
  /// - Parameters:
  ///   - u: `[rows, uColumns]`, zeros at first
  ///   - vTransposed: `[columns, columns]`
  static func singularValueDecomposition(
    _ rows: Int, _ columns: Int, _ a: Pointer, values: Pointer, u: Pointer, uColumns: Int, vTransposed: Pointer
  ) -> Int32 {
    guard !isSmall(rows, columns) else {
      return gesdd(uColumns == columns ? "S" : "A", rows, columns, a, values, u, rows, vTransposed, columns)
    }
    let scale = scaleToOne(a, rows, columns)
    for column in columns..<max(columns, uColumns) { u[column * (rows + 1)] = 1 }
    let all = Reflections<Self>.Target(pointer: u, leading: rows, columns: uColumns)
    var info: Int32 = 0
    if isTall(rows, columns) {
      let q = leaveTriangle(rows, columns, a, &info)
      // The further columns of U are those of Q.
      let first = Reflections<Self>.Target(pointer: u, leading: rows, columns: columns)
      if info == 0 { info = throughTwoDiagonals(columns, columns, a, rows, values, first, vTransposed) }
      if info == 0 { q.apply(to: all) }
    } else {
      info = throughTwoDiagonals(rows, columns, a, rows, values, all, vTransposed)
    }
    for index in 0..<columns { values[index] *= scale }
    return info
  }

  /// The singular values alone, of the same.
  static func singularValues(_ rows: Int, _ columns: Int, _ a: Pointer, values: Pointer) -> Int32 {
    guard !isSmall(rows, columns) else { return gesdd("N", rows, columns, a, values, a, rows, a, columns) }
    let scale = scaleToOne(a, rows, columns)
    var info: Int32 = 0, height = rows
    if isTall(rows, columns) {
      _ = leaveTriangle(rows, columns, a, &info)
      height = columns
    }
    if info != 0 { return info }
    return withSpace(3 * columns) { beside in
      BidiagonalForm(height, columns, a, rows).find(values, beside, beside + columns, beside + 2 * columns)
      info = bdsdc(columns, values, beside)
      for index in 0..<columns { values[index] *= scale }
      return info
    }
  }

  /// Whether there are so many rows that it takes less work to go on with `R` of `A = Q R`, which is square; the ratio is
  /// LAPACK's.
  private static func isTall(_ rows: Int, _ columns: Int) -> Bool { 6 * rows >= 11 * columns }

  /// `A = Q R`, of which `R` is left in the first rows of `A`, and zeros below its diagonal.
  private static func leaveTriangle(_ rows: Int, _ columns: Int, _ a: Pointer, _ info: inout Int32) -> Reflections<Self>
  {
    let q = Reflections(factoring: a, rows: rows, columns: columns, info: &info)
    for column in 0..<columns { (a + column * (rows + 1) + 1).update(repeating: 0, count: columns - column - 1) }
    return q
  }

  /// `A = Q B Pᵀ` with two diagonals in `B`, and `B = W S Zᵀ`, hence `U = Q W` and `V = P Z`.
  ///
  /// - Parameters:
  ///   - leading: from one column of `A` to the next
  ///   - u: zeros at first, but for ones on the diagonal behind the first `columns`
  private static func throughTwoDiagonals(
    _ rows: Int, _ columns: Int, _ a: Pointer, _ leading: Int, _ values: Pointer, _ u: Reflections<Self>.Target,
    _ vTransposed: Pointer
  ) -> Int32 {
    withSpace(3 * columns) { beside in
      let tauQ = beside + columns, tauP = tauQ + columns
      BidiagonalForm(rows, columns, a, leading).find(values, beside, tauQ, tauP)
      var q: Reflections<Self>?, p: Reflections<Self>?
      let failed = inParallel(2) { task in
        if task == 0 {
          return bidiagonalDecomposition(columns, values, beside, u: u.pointer, u.leading, vTransposed: vTransposed)
        }
        q = Reflections(order: rows, count: columns, stored: a, along: 1, across: leading, tau: tauQ)
        // Those of P lie in rows, behind the second diagonal.
        p = Reflections(
          order: columns - 1, count: columns - 1, stored: a + leading, along: leading, across: 1, tau: tauP)
        return 0
      }
      if failed != 0 { return failed }
      q?.apply(to: u)
      // Vᵀ by columns is V by rows.
      p?.apply(to: .init(pointer: vTransposed + columns, leading: columns, columns: columns, isByRows: true))
      return 0
    }
  }

  /// `A = Z W Zᵀ` of a symmetric matrix with one row or more, of which the lower triangle is read.
  ///
  /// - Parameter vectors: `Z`, `[n, n]`
  static func symmetricEigen(_ n: Int, _ a: Pointer, values: Pointer, vectors: Pointer) -> Int32 {
    guard !isSmall(n, n) else {
      let info = syevd("V", n, a, values)
      vectors.update(from: a, count: n * n)
      return info
    }
    let scale = scaleToOne(a, n, n, isTriangle: true)
    return withSpace(2 * n) { beside in
      let tau = beside + n
      TridiagonalForm(n, a).find(values, beside, tau)
      let info = tridiagonalEigen(n, values, beside, vectors: vectors)
      if info != 0 { return info }
      Reflections(order: n - 1, count: n - 1, stored: a + 1, along: 1, across: n, tau: tau)
        .apply(to: .init(pointer: vectors + 1, leading: n, columns: n))
      for index in 0..<n { values[index] *= scale }
      return 0
    }
  }

  /// The eigenvalues alone, of the same.
  static func symmetricEigenvalues(_ n: Int, _ a: Pointer, values: Pointer) -> Int32 {
    guard !isSmall(n, n) else { return syevd("N", n, a, values) }
    let scale = scaleToOne(a, n, n, isTriangle: true)
    return withSpace(2 * n) { beside in
      TridiagonalForm(n, a).find(values, beside, beside + n)
      let info = sterf(n, values, beside)
      for index in 0..<n { values[index] *= scale }
      return info
    }
  }

  /// `A = Q R`, with `R` in the upper triangle of `A` afterwards.
  ///
  /// - Parameter q: `[rows, qColumns]`, zeros at first
  static func qr(_ rows: Int, _ columns: Int, _ a: Pointer, q: Pointer, qColumns: Int) -> Int32 {
    let count = min(rows, columns)
    var info: Int32 = 0
    guard !isSmall(rows, columns) else {
      return withSpace(count) { tau in
        info = geqrf(rows, columns, a, rows, tau)
        q.update(from: a, count: count * rows)
        return info == 0 ? orgqr(rows, qColumns, count, q, tau) : info
      }
    }
    let reflections = Reflections(factoring: a, rows: rows, columns: columns, info: &info)
    for column in 0..<qColumns { q[column * (rows + 1)] = 1 }
    reflections.apply(to: .init(pointer: q, leading: rows, columns: qColumns), isIdentity: true)
    return info
  }

  /// Where LAPACK's drivers are faster, which do less besides.
  private static func isSmall(_ rows: Int, _ columns: Int) -> Bool { rows * columns <= 64 * 64 }

  /// Divides a matrix by the power of two that leaves elements of about 1, and returns it: squares are then neither too
  /// large nor too small, and a matrix times a power of two has the same vectors to the last bit.
  ///
  /// - Parameter isTriangle: whether what lies above the diagonal is not part of the matrix
  private static func scaleToOne(_ a: Pointer, _ rows: Int, _ columns: Int, isTriangle: Bool = false) -> Self {
    let runs = isTriangle ? (0..<columns).map { ($0 * (rows + 1), rows - $0) } : [(0, rows * columns)]
    let scale = powerOfTwo(runs.map { largestMagnitude(a + $0.0, $0.1) }.max() ?? 0)
    if scale != 1 { for (first, count) in runs { for index in first..<(first + count) { a[index] /= scale } } }
    return scale
  }

  /// The one below a number, or the least normal one; 1 for 0.
  static func powerOfTwo(_ number: Self) -> Self {
    guard number > 0 else { return 1 }
    return Self(sign: .plus, exponent: max(number.exponent, leastNormalMagnitude.exponent), significand: 1)
  }
}
