import Glibc

/// Linear systems by LAPACK, over the last two axes; leading axes are a batch whose matrices run in parallel.
///
/// `f64` is computed in `f64`, everything narrower in `f32`. NaN, infinities and singular matrices throw
/// `LinearAlgebraError`.
extension Tensor {
  /// `X` with `A · X = B`, by LU decomposition with pivots (LAPACK `getrf`, `getrs`). `A` is `[…, n, n]`.
  ///
  /// - Parameter right: `[…, n, columns]`, leading axes broadcast against those of `A`; or one vector `[n]`
  public func solve(_ right: Tensor) throws(LinearAlgebraError) -> Tensor {
    let a = forLAPACK("solve"), b = right.forLAPACK("solve")
    guard a.dtype == b.dtype else { tensorFailure("solve: dtypes \(a.dtype) and \(b.dtype) differ") }
    if right.rank == 1 { return try a.solve(b.unsqueezed(-1)).squeezed(-1) }
    return try a.dtype == .f64 ? a.solve(Double.self, b) : a.solve(Float.self, b)
  }

  /// `A⁻¹` of `[…, n, n]` (LAPACK `getri`). To solve a system use `solve`: it is faster and more exact.
  public func inverse() throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("inverse")
    return try x.dtype == .f64 ? x.inverse(Double.self) : x.inverse(Float.self)
  }

  /// Determinants of `[…, n, n]`, `[…]`; 0 of a singular matrix.
  public func determinant() throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("determinant")
    return try x.dtype == .f64 ? x.determinants(Double.self).plain : x.determinants(Float.self).plain
  }

  /// Sign and natural logarithm of the absolute value of the determinants of `[…, n, n]`, each `[…]`; 0 and minus
  /// infinity of a singular matrix.
  public func signLogDeterminant() throws(LinearAlgebraError) -> (sign: Tensor, logAbsolute: Tensor) {
    let x = forLAPACK("signLogDeterminant")
    let all = try x.dtype == .f64 ? x.determinants(Double.self) : x.determinants(Float.self)
    return (all.sign, all.logAbsolute)
  }

  /// What `leastSquares` finds.
  public struct LeastSquares: Sendable {
    /// The `X` of least norm among those that minimise `‖A · X - B‖`, `[…, columns of A, columns of B]`.
    public var solution: Tensor
    /// Number of singular values above `relativeCutoff` times the largest, `i64`, `[…]`.
    public var rank: Tensor
    /// Singular values of `A`, descending, `[…, min(rows, columns)]`.
    public var singularValues: Tensor
  }

  /// Least squares by singular value decomposition (LAPACK `gelsd`), also of rank-deficient `A`, `[…, rows, columns]`.
  ///
  /// - Parameters:
  ///   - right: `[…, rows, columns of B]` with the leading axes of `A`, or one vector `[rows]`
  ///   - relativeCutoff: singular values below this times the largest count as 0; by default the precision of the
  ///     type times the larger extent
  public func leastSquares(
    _ right: Tensor, relativeCutoff: Double? = nil
  ) throws(LinearAlgebraError) -> LeastSquares {
    let a = forLAPACK("leastSquares"), b = right.forLAPACK("leastSquares")
    guard a.dtype == b.dtype else { tensorFailure("leastSquares: dtypes \(a.dtype) and \(b.dtype) differ") }
    if right.rank == 1 {
      var result = try a.leastSquares(b.unsqueezed(-1), relativeCutoff: relativeCutoff)
      result.solution = result.solution.squeezed(-1)
      return result
    }
    return try a.dtype == .f64
      ? a.leastSquares(Double.self, b, relativeCutoff) : a.leastSquares(Float.self, b, relativeCutoff)
  }

  /// The Moore-Penrose pseudo-inverse `[…, columns, rows]` of `[…, rows, columns]`.
  ///
  /// - Parameter relativeCutoff: as in `leastSquares`
  public func pseudoInverse(relativeCutoff: Double? = nil) throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("pseudoInverse")
    return try x.dtype == .f64
      ? x.pseudoInverse(Double.self, relativeCutoff) : x.pseudoInverse(Float.self, relativeCutoff)
  }

  /// Number of singular values above `relativeCutoff` times the largest, `i64`, `[…]`.
  ///
  /// - Parameter relativeCutoff: as in `leastSquares`
  public func matrixRank(relativeCutoff: Double? = nil) throws(LinearAlgebraError) -> Tensor {
    let cutoff = relativeCutoff ?? forLAPACK("matrixRank").defaultCutoff
    let values = try singularValues().converted(to: .f64).scalars(as: Double.self)
    let k = min(shape[rank - 2], shape[rank - 1])
    let ranks = (0..<leadingShape().reduce(1, *)).map { index -> Int in
      let own = values[(index * k)..<(index * k + k)]
      return own.count { $0 > cutoff * (own.first ?? 0) }
    }
    return Tensor(scalars: ranks, shape: leadingShape())
  }
}

extension Tensor {
  /// Below this share of the largest a singular value is rounding error.
  private var defaultCutoff: Double {
    Double(max(shape[rank - 2], shape[rank - 1])) * (dtype == .f64 ? Double.ulpOfOne : Double(Float.ulpOfOne))
  }

  private func solve<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ right: Tensor
  ) throws(LinearAlgebraError) -> Tensor {
    let n = squareExtent("solve")
    guard right.rank >= 2, right.shape[right.rank - 2] == n else {
      tensorFailure("solve: shapes \(shape) and \(right.shape) do not fit")
    }
    let lead = Tensor.broadcastShape(leadingShape(), right.leadingShape(), "solve")
    let columns = right.shape[right.rank - 1]
    let (factors, a) = broadcast(to: lead + [n, n]).scratch(as: Scalar.self)
    // LAPACK wants B by columns, and has our A as Aᵀ.
    let (solution, x) = right.transposed().broadcast(to: lead + [columns, n]).scratch(as: Scalar.self)
    let (rows, pivots) = Tensor.scratch(lead + [n], as: Int32.self)
    try withExtendedLifetime((factors, rows)) { () throws(LinearAlgebraError) in
      try forEachMatrix(n == 0 ? 0 : lead.reduce(1, *), "solve") { index in
        let matrix = a + index * n * n, own = pivots + index * n, target = x + index * n * columns
        if let bad = firstNotFinite(matrix, n, n) ?? firstNotFinite(target, columns, n)?.transposed { return bad }
        return reason(Scalar.getrf(n, matrix, own)) { .singular(pivot: $0 - 1) }
          ?? reason(Scalar.getrsTransposed(n, columns, matrix, own, target)) { .singular(pivot: $0 - 1) }
      }
    }
    return solution.transposed()
  }

  private func inverse<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> Tensor {
    let n = squareExtent("inverse"), lead = leadingShape()
    let (result, a) = scratch(as: Scalar.self)
    let (rows, pivots) = Tensor.scratch(lead + [n], as: Int32.self)
    try withExtendedLifetime(rows) { () throws(LinearAlgebraError) in
      try forEachMatrix(n == 0 ? 0 : lead.reduce(1, *), "inverse") { index in
        let matrix = a + index * n * n, own = pivots + index * n
        if let bad = firstNotFinite(matrix, n, n) { return bad }
        return reason(Scalar.getrf(n, matrix, own)) { .singular(pivot: $0 - 1) }
          ?? reason(Scalar.getri(n, matrix, own)) { .singular(pivot: $0 - 1) }
      }
    }
    return result
  }

  private func determinants<Scalar: LAPACKScalar>(
    _ type: Scalar.Type
  ) throws(LinearAlgebraError) -> (plain: Tensor, sign: Tensor, logAbsolute: Tensor) {
    let n = squareExtent("determinant"), lead = leadingShape()
    let (factors, a) = scratch(as: Scalar.self)
    let (rows, pivots) = Tensor.scratch(lead + [n], as: Int32.self)
    let (plain, plainPointer) = Tensor.scratch(lead, as: Scalar.self)
    let (sign, signPointer) = Tensor.scratch(lead, as: Scalar.self)
    let (logAbsolute, logPointer) = Tensor.scratch(lead, as: Scalar.self)
    try withExtendedLifetime((factors, rows)) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "determinant") { index in
        let matrix = a + index * n * n, own = pivots + index * n
        if let bad = firstNotFinite(matrix, n, n) { return bad }
        let failure = n == 0 ? nil : reason(Scalar.getrf(n, matrix, own)) { .singular(pivot: $0 - 1) }
        if failure == .outOfMemory { return failure }
        var product: Scalar = 1, direction: Scalar = 1, logarithm = 0.0
        for place in 0..<n {
          let pivot = matrix[place * n + place], flip: Scalar = Int(own[place]) == place + 1 ? 1 : -1
          product *= pivot * flip
          direction *= pivot == 0 ? 0 : pivot < 0 ? -flip : flip
          logarithm += logarithmOf(Double(abs(pivot)))
        }
        plainPointer[index] = product
        signPointer[index] = direction
        logPointer[index] = Scalar(logarithm)
        return nil
      }
    }
    return (plain, sign, logAbsolute)
  }

  private func leastSquares<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ right: Tensor, _ relativeCutoff: Double?
  ) throws(LinearAlgebraError) -> LeastSquares {
    let (m, n) = matrixShape("leastSquares"), k = min(m, n), tall = max(m, n), lead = leadingShape()
    guard right.rank == rank, right.leadingShape() == lead, right.shape[rank - 2] == m else {
      tensorFailure("leastSquares: shapes \(shape) and \(right.shape) do not fit")
    }
    let columns = right.shape[rank - 1], cutoff = relativeCutoff ?? defaultCutoff
    let (input, a) = transposed().scratch(as: Scalar.self)
    // LAPACK reads B from the first `m` and writes X to the first `n` places of columns of `max(m, n)`.
    var padded = Tensor(zeros: lead + [columns, tall], dtype: Scalar.dtype)
    padded[.ellipsis, ..<m] = right.transposed()
    let x = padded.freshPointer(as: Scalar.self)
    let (s, sPointer) = Tensor.scratch(lead + [k], as: Scalar.self)
    let (ranks, rankPointer) = Tensor.scratch(lead, as: Int.self)
    try withExtendedLifetime(input) { () throws(LinearAlgebraError) in
      try forEachMatrix(k == 0 || columns == 0 ? 0 : lead.reduce(1, *), "leastSquares") { index in
        let matrix = a + index * m * n, target = x + index * columns * tall
        if let bad = (firstNotFinite(matrix, n, m) ?? firstNotFinite(target, columns, tall))?.transposed { return bad }
        var rank: Int32 = 0
        let info = Scalar.gelsd(m, n, columns, matrix, target, sPointer + index * k, cutoff, &rank)
        rankPointer[index] = Int(rank)
        return reason(info) { _ in .notConverged }
      }
    }
    return LeastSquares(solution: padded[.ellipsis, ..<n].transposed(), rank: ranks, singularValues: s)
  }

  private func pseudoInverse<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ relativeCutoff: Double?
  ) throws(LinearAlgebraError) -> Tensor {
    let (m, n) = matrixShape("pseudoInverse"), k = min(m, n), lead = leadingShape()
    let cutoff = Scalar(relativeCutoff ?? defaultCutoff)
    let parts: SingularValueDecomposition
    do { parts = try svd() } catch {
      throw LinearAlgebraError(routine: "pseudoInverse", matrix: error.matrix, reason: error.reason)
    }
    let (left, u) = parts.u.scratch(as: Scalar.self), (values, s) = parts.singularValues.scratch(as: Scalar.self)
    let (rightVectors, v) = parts.vTransposed.scratch(as: Scalar.self)
    let (result, target) = Tensor.scratch(lead + [n, m], as: Scalar.self)
    withExtendedLifetime((left, values, rightVectors)) {
      parallelFor(k == 0 ? 0 : lead.reduce(1, *)) { range in
        for index in range {
          let own = s + index * k, rows = v + index * k * n
          for row in 0..<k {
            let factor = own[row] > cutoff * own[0] ? 1 / own[row] : 0
            for column in 0..<n { rows[row * n + column] *= factor }
          }
          Scalar.gemm(true, true, n, m, k, rows, u + index * m * k, target + index * m * n)
        }
      }
    }
    return result
  }
}

/// The global function, which `Tensor.log` hides inside the extension.
private func logarithmOf(_ value: Double) -> Double { log(value) }
