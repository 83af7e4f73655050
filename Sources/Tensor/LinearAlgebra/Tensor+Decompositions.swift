/// Matrix decompositions by LAPACK, over the last two axes; leading axes are a batch whose matrices run in parallel.
/// A single large matrix is spread over all threads by `svd`, `symmetricEigen` and `qr`, and for values alone.
///
/// `f64` is computed in `f64`, everything narrower in `f32`. Any strides are accepted. NaN, infinities and what the
/// numbers do not allow throw `LinearAlgebraError`.
extension Tensor {
  /// `A = U · diag(S) · Vᵀ`.
  public struct SingularValueDecomposition: Sendable {
    /// Left singular vectors in columns, `[…, rows, k]`; `k` is `rows` when full, else the smaller extent.
    public var u: Tensor
    /// Singular values in descending order, `[…, min(rows, columns)]`.
    public var singularValues: Tensor
    /// Right singular vectors in rows, `[…, k, columns]`; `k` is `columns` when full, else the smaller extent.
    public var vTransposed: Tensor
  }

  /// Singular value decomposition of `[…, rows, columns]` by divide and
  /// conquer (as LAPACK `gesdd`).
  ///
  /// - Parameter full: whether `u` and `vTransposed` are square
  public func svd(full: Bool = false) throws(LinearAlgebraError) -> SingularValueDecomposition {
    let x = forLAPACK("svd")
    guard x.isTall("svd") else { return try x.dtype == .f64 ? x.svd(Double.self, full) : x.svd(Float.self, full) }
    do {
      let turned = try x.transposed().svd(full: full)
      return SingularValueDecomposition(
        u: turned.vTransposed.transposed(), singularValues: turned.singularValues, vTransposed: turned.u.transposed())
    } catch { throw error.ofTheTransposed }
  }

  /// The singular values alone, descending, `[…, min(rows, columns)]`.
  public func singularValues() throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("singularValues")
    if x.isTall("singularValues") {
      do { return try x.transposed().singularValues() } catch { throw error.ofTheTransposed }
    }
    return try x.dtype == .f64 ? x.singularValues(Double.self) : x.singularValues(Float.self)
  }

  /// Eigenvalues and orthonormal eigenvectors of symmetric matrices.
  public struct SymmetricEigen: Sendable {
    /// Ascending, `[…, n]`.
    public var values: Tensor
    /// In columns, in the order of the values, `[…, n, n]`.
    public var vectors: Tensor
  }

  /// Eigenvalues and eigenvectors of symmetric `[…, n, n]`, of which the lower triangle is read, by
  /// divide and conquer (as LAPACK `syevd`).
  public func symmetricEigen() throws(LinearAlgebraError) -> SymmetricEigen {
    let x = forLAPACK("symmetricEigen")
    return try x.dtype == .f64 ? x.eigen(Double.self) : x.eigen(Float.self)
  }

  /// The eigenvalues alone of symmetric `[…, n, n]`, ascending, `[…, n]`.
  public func symmetricEigenvalues() throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("symmetricEigenvalues")
    return try x.dtype == .f64 ? x.symmetricEigenvalues(Double.self) : x.symmetricEigenvalues(Float.self)
  }

  /// Eigenvalues of square matrices that need not be symmetric: complex numbers, pairs of conjugates next to each other.
  public struct Eigenvalues: Sendable {
    /// `[…, n]`, in LAPACK's order.
    public var real, imaginary: Tensor
    /// Absolute values, largest first, `[…, n]`.
    public var moduli: Tensor { (real.squared() + imaginary.squared()).squareRoot().sorted(descending: true) }
  }

  /// The eigenvalues of `[…, n, n]` (LAPACK `geev`).
  public func eigenvalues() throws(LinearAlgebraError) -> Eigenvalues {
    let x = forLAPACK("eigenvalues")
    return try x.dtype == .f64 ? x.eigenvalues(Double.self) : x.eigenvalues(Float.self)
  }

  /// `A = Q · R`.
  public struct QRDecomposition: Sendable {
    /// Orthonormal columns, `[…, rows, k]`; `k` is `rows` when complete, else the smaller extent.
    public var q: Tensor
    /// Upper triangular, `[…, k, columns]`.
    public var r: Tensor
  }

  /// QR decomposition of `[…, rows, columns]` by Householder reflections (LAPACK `geqrf`). The diagonal of `r` may
  /// be negative, as in NumPy and PyTorch.
  ///
  /// - Parameter complete: whether `q` is square
  public func qr(complete: Bool = false) throws(LinearAlgebraError) -> QRDecomposition {
    let x = forLAPACK("qr")
    return try x.dtype == .f64 ? x.qr(Double.self, complete) : x.qr(Float.self, complete)
  }

  /// The lower triangular `L` with `A = L · Lᵀ` of symmetric positive definite `[…, n, n]`, of which the lower
  /// triangle is read (LAPACK `potrf`).
  public func cholesky() throws(LinearAlgebraError) -> Tensor {
    let x = forLAPACK("cholesky")
    return try x.dtype == .f64 ? x.cholesky(Double.self) : x.cholesky(Float.self)
  }
}

extension Tensor {
  // LAPACK sees the transpose, and is faster where that has more rows than columns: up to twice for a narrow matrix.
  fileprivate func isTall(_ routine: String) -> Bool {
    let (rows, columns) = matrixShape(routine)
    return rows > columns
  }
}

extension LinearAlgebraError {
  // What is wrong with a matrix, said of its transpose.
  fileprivate var ofTheTransposed: LinearAlgebraError {
    guard case .notFinite(let row, let column) = reason else { return self }
    return LinearAlgebraError(routine: routine, matrix: matrix, reason: .notFinite(row: column, column: row))
  }
}

// LAPACK reads columns: our row-major A is its Aᵀ. Where a decomposition of Aᵀ gives that of A, no transpose is made.
extension Tensor {
  private func svd<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ full: Bool
  ) throws(LinearAlgebraError) -> SingularValueDecomposition {
    let (m, n) = matrixShape("svd"), k = min(m, n), lead = leadingShape()
    let uColumns = full ? m : k, vRows = full ? n : k
    let (input, a) = scratch(as: Scalar.self)
    var (u, uPointer) = Tensor.scratch(lead + [m, uColumns], as: Scalar.self)
    let (s, sPointer) = Tensor.scratch(lead + [k], as: Scalar.self)
    var (v, vPointer) = Tensor.scratch(lead + [vRows, n], as: Scalar.self)
    if k == 0 {
      u = Tensor(identity: m, columns: uColumns, dtype: Scalar.dtype).broadcast(to: u.shape)
      v = Tensor(identity: vRows, columns: n, dtype: Scalar.dtype).broadcast(to: v.shape)
      return SingularValueDecomposition(u: u, singularValues: s, vTransposed: v)
    }
    // Aᵀ = V S Uᵀ: LAPACK's U, by columns, is our Vᵀ by rows.
    try withExtendedLifetime(input) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "svd") { index in
        let matrix = a + index * m * n
        if let bad = firstNotFinite(matrix, m, n) { return bad }
        let info = Scalar.singularValueDecomposition(
          n, m, matrix, values: sPointer + index * k, u: vPointer + index * vRows * n, uColumns: vRows,
          vTransposed: uPointer + index * m * uColumns)
        return reason(info) { _ in .notConverged }
      }
    }
    return SingularValueDecomposition(u: u, singularValues: s, vTransposed: v)
  }

  private func singularValues<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> Tensor {
    let (m, n) = matrixShape("singularValues"), k = min(m, n), lead = leadingShape()
    let (s, sPointer) = Tensor.scratch(lead + [k], as: Scalar.self)
    if k == 0 { return s }
    let (input, a) = scratch(as: Scalar.self)
    try withExtendedLifetime(input) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "singularValues") { index in
        let matrix = a + index * m * n
        if let bad = firstNotFinite(matrix, m, n) { return bad }
        let info = Scalar.singularValues(n, m, matrix, values: sPointer + index * k)
        return reason(info) { _ in .notConverged }
      }
    }
    return s
  }

  private func eigen<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> SymmetricEigen {
    let n = squareExtent("symmetricEigen"), lead = leadingShape()
    let (values, w) = Tensor.scratch(lead + [n], as: Scalar.self)
    let (vectors, z) = Tensor.scratch(lead + [n, n], as: Scalar.self)
    if n == 0 { return SymmetricEigen(values: values, vectors: vectors) }
    let (columns, a) = transposed().scratch(as: Scalar.self)
    try withExtendedLifetime(columns) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "symmetricEigen") { index in
        let matrix = a + index * n * n
        if let bad = firstNotFinite(matrix, n, n) { return bad.transposed }
        let info = Scalar.symmetricEigen(n, matrix, values: w + index * n, vectors: z + index * n * n)
        return reason(info) { _ in .notConverged }
      }
    }
    return SymmetricEigen(values: values, vectors: vectors.transposed())
  }

  private func symmetricEigenvalues<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> Tensor {
    let n = squareExtent("symmetricEigenvalues"), lead = leadingShape()
    let (values, w) = Tensor.scratch(lead + [n], as: Scalar.self)
    if n == 0 { return values }
    let (columns, a) = transposed().scratch(as: Scalar.self)
    try withExtendedLifetime(columns) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "symmetricEigenvalues") { index in
        let matrix = a + index * n * n
        if let bad = firstNotFinite(matrix, n, n) { return bad.transposed }
        return reason(Scalar.symmetricEigenvalues(n, matrix, values: w + index * n)) { _ in .notConverged }
      }
    }
    return values
  }

  private func eigenvalues<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> Eigenvalues {
    let n = squareExtent("eigenvalues"), lead = leadingShape()
    let (real, realPointer) = Tensor.scratch(lead + [n], as: Scalar.self)
    let (imaginary, imaginaryPointer) = Tensor.scratch(lead + [n], as: Scalar.self)
    if n == 0 { return Eigenvalues(real: real, imaginary: imaginary) }
    let (input, a) = scratch(as: Scalar.self)
    try withExtendedLifetime(input) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "eigenvalues") { index in
        let matrix = a + index * n * n
        if let bad = firstNotFinite(matrix, n, n) { return bad }
        let info = Scalar.geev(n, matrix, realPointer + index * n, imaginaryPointer + index * n)
        return reason(info) { _ in .notConverged }
      }
    }
    return Eigenvalues(real: real, imaginary: imaginary)
  }

  private func qr<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ complete: Bool
  ) throws(LinearAlgebraError) -> QRDecomposition {
    let (m, n) = matrixShape("qr"), k = min(m, n), lead = leadingShape(), qColumns = complete ? m : k
    let (columns, a) = transposed().scratch(as: Scalar.self)  // [..., n, m]: A by columns
    let (q, qPointer) = Tensor.scratch(lead + [qColumns, m], as: Scalar.self)
    let (r, rPointer) = Tensor.scratch(lead + [qColumns, n], as: Scalar.self)
    if k == 0 {
      return QRDecomposition(
        q: Tensor(identity: m, columns: qColumns, dtype: Scalar.dtype).broadcast(to: lead + [m, qColumns]), r: r)
    }
    try withExtendedLifetime(columns) { () throws(LinearAlgebraError) in
      try forEachMatrix(lead.reduce(1, *), "qr") { index in
        let matrix = a + index * m * n, qMatrix = qPointer + index * qColumns * m
        if let bad = firstNotFinite(matrix, n, m) { return bad.transposed }
        let info = Scalar.qr(m, n, matrix, q: qMatrix, qColumns: qColumns)
        for row in 0..<k {
          for column in row..<n { rPointer[(index * qColumns + row) * n + column] = matrix[column * m + row] }
        }
        return reason(info) { _ in .notConverged }
      }
    }
    return QRDecomposition(q: q.transposed(), r: r)
  }

  private func cholesky<Scalar: LAPACKScalar>(_ type: Scalar.Type) throws(LinearAlgebraError) -> Tensor {
    let n = squareExtent("cholesky"), lead = leadingShape()
    let (factor, a) = scratch(as: Scalar.self)
    if n == 0 { return factor }
    // Our lower triangle by rows is LAPACK's upper by columns: A = Uᵀ U with U = Lᵀ.
    try forEachMatrix(lead.reduce(1, *), "cholesky") { index in
      let matrix = a + index * n * n
      if let bad = firstNotFinite(matrix, n, n) { return bad }
      let info = Scalar.potrf(n, matrix)
      for row in 0..<n {
        for column in (row + 1)..<max(n, row + 1) { matrix[row * n + column] = 0 }
      }
      return reason(info) { .notPositiveDefinite(order: $0) }
    }
    return factor
  }
}

extension LinearAlgebraError.Reason {
  /// For a matrix that was looked at by columns.
  var transposed: LinearAlgebraError.Reason {
    if case .notFinite(let row, let column) = self { return .notFinite(row: column, column: row) }
    return self
  }
}
