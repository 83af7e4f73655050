import CLAPACKE
import COpenBLAS

/// An element type LAPACK works in.
protocol LAPACKScalar: TensorScalar, BinaryFloatingPoint {
  typealias Pointer = UnsafeMutablePointer<Self>

  static var routines: LAPACKRoutines<Self> { get }
  /// What the first `columns` columns of the lower triangle of a symmetric matrix, of `[rows, rows]`, contribute to its
  /// product with `x`: `y`, `[rows]`, is written.
  static func symmetricColumns(
    _ kernels: Kernels, _ a: UnsafePointer<Self>, _ leading: Int, rows: Int, columns: Int, _ x: UnsafePointer<Self>,
    _ y: Pointer)
  /// The sums of `squares / (poles - x)` and of its derivative.
  static func secularSums(
    _ kernels: Kernels, _ squares: UnsafePointer<Self>, _ poles: UnsafePointer<Self>, _ count: Int, _ x: Self
  ) -> (value: Self, slope: Self)
  /// Infinite or NaN where an element is; 0 of none.
  static func largestMagnitude(_ a: UnsafePointer<Self>, _ count: Int) -> Self
}

// The routines take column-major matrices and return LAPACK's `info`.
extension LAPACKScalar {
  /// `A = U S Vᵀ`; `job` is `A` (full), `S` (reduced) or `N` (values only).
  static func gesdd(
    _ job: Character, _ m: Int, _ n: Int, _ a: Pointer, _ s: Pointer, _ u: Pointer, _ ldu: Int, _ vt: Pointer,
    _ ldvt: Int
  ) -> Int32 {
    routines.gesdd(
      LAPACK_COL_MAJOR, job.lapack, Int32(m), Int32(n), a, m.leading, s, u, ldu.leading, vt, ldvt.leading)
  }

  /// `B = U S Vᵀ` with the two diagonals of `B` in `d` and `e`, and `S` in `d` afterwards.
  static func bdsdc(
    _ n: Int, _ d: Pointer, _ e: Pointer, _ u: Pointer, _ ldu: Int, _ vt: Pointer, _ ldvt: Int
  ) -> Int32 {
    routines.bdsdc(LAPACK_COL_MAJOR, upper, dense, Int32(n), d, e, u, ldu.leading, vt, ldvt.leading, nil, nil)
  }

  /// The singular values alone, in `d`.
  static func bdsdc(_ n: Int, _ d: Pointer, _ e: Pointer) -> Int32 {
    routines.bdsdc(LAPACK_COL_MAJOR, upper, none, Int32(n), d, e, nil, 1, nil, 1, nil, nil)
  }

  /// `bdsdc` of a matrix with as many columns as rows or one more, values in no order. `u` and `vt` are identities at
  /// first.
  static func lasd0(
    _ n: Int, _ columns: Int, _ d: Pointer, _ e: Pointer, _ u: Pointer, _ vt: Pointer, _ leading: Int, _ work: Pointer,
    _ integers: UnsafeMutablePointer<Int32>
  ) -> Int32 {
    var sqre = Int32(columns - n), n = Int32(n), leading = leading.leading, small: Int32 = 25, info: Int32 = 0
    routines.lasd0(&n, &sqre, d, e, u, &leading, vt, &leading, &small, integers, work, &info)
    return info
  }

  /// Leaves out what two sets of singular values, of `nl` and `nr`, need not be merged for; `k` are left. Names of the
  /// parameters and what they hold are LAPACK's; `u2` has `nl + nr + 1` rows, `vt2` `sqre` more.
  static func lasd2(
    _ nl: Int, _ nr: Int, _ sqre: Int, _ k: inout Int32, _ d: Pointer, _ z: Pointer, _ alpha: Self, _ beta: Self,
    _ u: Pointer, _ vt: Pointer, _ leading: Int, _ dsigma: Pointer, _ u2: Pointer, _ vt2: Pointer,
    _ idxp: UnsafeMutablePointer<Int32>, _ idx: UnsafeMutablePointer<Int32>, _ idxc: UnsafeMutablePointer<Int32>,
    _ idxq: UnsafeMutablePointer<Int32>, _ coltyp: UnsafeMutablePointer<Int32>
  ) -> Int32 {
    var nl = Int32(nl), nr = Int32(nr), sqre = Int32(sqre), ldu2 = nl + nr + 1, ldvt2 = ldu2 + sqre
    var alpha = alpha, beta = beta, leading = leading.leading, info: Int32 = 0
    routines.lasd2(
      &nl, &nr, &sqre, &k, d, z, &alpha, &beta, u, &leading, vt, &leading, dsigma, u2, &ldu2, vt2, &ldvt2, idxp, idx,
      idxc, idxq, coltyp, &info)
    return info
  }

  /// Eigenvalues `w` of a symmetric matrix, of which the lower triangle is read; vectors in `a` when `job` is `V`.
  static func syevd(_ job: Character, _ n: Int, _ a: Pointer, _ w: Pointer) -> Int32 {
    routines.syevd(LAPACK_COL_MAJOR, job.lapack, lower, Int32(n), a, n.leading, w)
  }

  /// Eigenvalues in `d` and vectors of the symmetric matrix with the diagonals `d` and `e`.
  static func stedc(_ n: Int, _ d: Pointer, _ e: Pointer, _ z: Pointer, _ ldz: Int) -> Int32 {
    routines.stedc(LAPACK_COL_MAJOR, dense, Int32(n), d, e, z, ldz.leading)
  }

  /// The eigenvalues alone, in `d`.
  static func sterf(_ n: Int, _ d: Pointer, _ e: Pointer) -> Int32 { routines.sterf(Int32(n), d, e) }

  /// Leaves out what two sets of eigenvalues, of `n1` and `n - n1`, need not be merged for; `k` are left. Names of the
  /// parameters and what they hold are LAPACK's.
  static func laed2(
    _ k: inout Int32, _ n: Int, _ n1: Int, _ d: Pointer, _ q: Pointer, _ ldq: Int,
    _ indxq: UnsafeMutablePointer<Int32>, _ rho: inout Self, _ z: Pointer, _ dlamda: Pointer, _ w: Pointer,
    _ q2: Pointer, _ indx: UnsafeMutablePointer<Int32>, _ indxc: UnsafeMutablePointer<Int32>,
    _ indxp: UnsafeMutablePointer<Int32>, _ coltyp: UnsafeMutablePointer<Int32>
  ) -> Int32 {
    var n = Int32(n), n1 = Int32(n1), ldq = ldq.leading, info: Int32 = 0
    routines.laed2(&k, &n, &n1, d, q, &ldq, indxq, &rho, z, dlamda, w, q2, indx, indxc, indxp, coltyp, &info)
    return info
  }

  /// Eigenvalues of any square matrix, real and imaginary parts.
  static func geev(_ n: Int, _ a: Pointer, _ real: Pointer, _ imaginary: Pointer) -> Int32 {
    routines.geev(LAPACK_COL_MAJOR, none, none, Int32(n), a, n.leading, real, imaginary, nil, 1, nil, 1)
  }

  static func geqrf(_ m: Int, _ n: Int, _ a: Pointer, _ lda: Int, _ tau: Pointer) -> Int32 {
    routines.geqrf(LAPACK_COL_MAJOR, Int32(m), Int32(n), a, lda.leading, tau)
  }

  static func orgqr(_ m: Int, _ n: Int, _ k: Int, _ a: Pointer, _ tau: Pointer) -> Int32 {
    routines.orgqr(LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(k), a, m.leading, tau)
  }

  /// The inverse of an upper triangle.
  static func trtri(_ n: Int, _ a: Pointer) -> Int32 {
    routines.trtri(LAPACK_COL_MAJOR, upper, none, Int32(n), a, n.leading)
  }

  /// `A = Uᵀ U`, of the upper triangle.
  static func potrf(_ n: Int, _ a: Pointer) -> Int32 {
    routines.potrf(LAPACK_COL_MAJOR, upper, Int32(n), a, n.leading)
  }

  static func getrf(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    routines.getrf(LAPACK_COL_MAJOR, Int32(n), Int32(n), a, n.leading, pivots)
  }

  static func getri(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    routines.getri(LAPACK_COL_MAJOR, Int32(n), a, n.leading, pivots)
  }

  /// Solves `Aᵀ X = B` from the factors of `A`.
  static func getrsTransposed(
    _ n: Int, _ columns: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>, _ b: Pointer
  ) -> Int32 {
    routines.getrs(
      LAPACK_COL_MAJOR, transposed, Int32(n), Int32(columns), a, n.leading, pivots, b, n.leading)
  }

  static func gelsd(
    _ m: Int, _ n: Int, _ columns: Int, _ a: Pointer, _ b: Pointer, _ s: Pointer, _ rcond: Double,
    _ rank: inout Int32
  ) -> Int32 {
    routines.gelsd(
      LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(columns), a, m.leading, b, Swift.max(m, n).leading, s,
      Self(rcond), &rank)
  }

  /// The reflection `I - τ v vᵀ` that leaves of `count` elements only the first, where `v` has a 1; the others become those
  /// of `v`. Returns `τ`.
  static func reflection(_ count: Int, _ elements: Pointer) -> Self {
    var tau: Self = 0
    _ = routines.larfg(Int32(count), elements, elements + min(1, count - 1), 1, &tau)
    return tau
  }

  /// `y = α op(A) x + β y` with `A` `[m, n]` by columns.
  static func gemv(
    _ transpose: CBLAS_TRANSPOSE, _ m: Int, _ n: Int, _ alpha: Self, _ a: UnsafePointer<Self>, _ lda: Int,
    _ x: UnsafePointer<Self>, _ xStride: Int, _ beta: Self, _ y: Pointer
  ) {
    routines.gemv(CblasColMajor, transpose, Int32(m), Int32(n), alpha, a, lda.leading, x, xStride.leading, beta, y, 1)
  }

  /// `C = α op(A) op(B) + β C`, `C` `[m, n]`, inner extent `k`.
  static func gemm(
    _ layout: CBLAS_LAYOUT, _ a: CBLAS_TRANSPOSE, _ b: CBLAS_TRANSPOSE, _ m: Int, _ n: Int, _ k: Int, _ alpha: Self,
    _ aPointer: UnsafePointer<Self>, _ lda: Int, _ bPointer: UnsafePointer<Self>, _ ldb: Int, _ beta: Self,
    _ c: Pointer, _ ldc: Int
  ) {
    routines.gemm(
      layout, a, b, Int32(m), Int32(n), Int32(k), alpha, aPointer, lda.leading, bPointer, ldb.leading, beta, c,
      ldc.leading)
  }

  /// `B = op(A) B` with triangular `A` and `B` `[m, n]`.
  static func trmm(
    _ layout: CBLAS_LAYOUT, _ triangle: CBLAS_UPLO, _ transpose: CBLAS_TRANSPOSE, _ m: Int, _ n: Int,
    _ a: UnsafePointer<Self>, _ lda: Int, _ b: Pointer, _ ldb: Int
  ) {
    routines.trmm(
      layout, CblasLeft, triangle, transpose, CblasNonUnit, Int32(m), Int32(n), 1, a, lda.leading, b, ldb.leading)
  }

  /// `C = op(A) op(B)` of row-major matrices without gaps, `C` `[m, n]`, inner extent `k`.
  static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Self>,
    _ b: UnsafePointer<Self>, _ c: Pointer
  ) {
    gemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, m, n, k, 1, a,
      transposeA ? m : k, b, transposeB ? k : n, 0, c, n)
  }
}

extension Character {
  fileprivate var lapack: CChar { CChar(asciiValue ?? 0) }
}

// LAPACK's letters.
private let none = Character("N").lapack, upper = Character("U").lapack, lower = Character("L").lapack
private let dense = Character("I").lapack, transposed = Character("T").lapack

extension Int {
  /// A leading dimension: at least 1 even of an empty matrix.
  fileprivate var leading: Int32 { Int32(Swift.max(1, self)) }
}
