import CLAPACKE
import COpenBLAS

/// An element type LAPACK works in. The routines take column-major matrices and return LAPACK's `info`.
protocol LAPACKScalar: TensorScalar, BinaryFloatingPoint {
  typealias Pointer = UnsafeMutablePointer<Self>

  /// `A = U S Vᵀ`; `job` is `A` (full), `S` (reduced) or `N` (values only).
  static func gesdd(
    _ job: Character, _ m: Int, _ n: Int, _ a: Pointer, _ s: Pointer, _ u: Pointer, _ ldu: Int, _ vt: Pointer,
    _ ldvt: Int
  ) -> Int32
  /// Eigenvalues `w` of a symmetric matrix, of which the upper triangle is read; vectors in `a` when `job` is `V`.
  static func syevd(_ job: Character, _ n: Int, _ a: Pointer, _ w: Pointer) -> Int32
  /// Eigenvalues of any square matrix, real and imaginary parts.
  static func geev(_ n: Int, _ a: Pointer, _ real: Pointer, _ imaginary: Pointer) -> Int32
  static func geqrf(_ m: Int, _ n: Int, _ a: Pointer, _ tau: Pointer) -> Int32
  static func orgqr(_ m: Int, _ n: Int, _ k: Int, _ a: Pointer, _ tau: Pointer) -> Int32
  /// `A = Uᵀ U`, of the upper triangle.
  static func potrf(_ n: Int, _ a: Pointer) -> Int32
  static func getrf(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32
  static func getri(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32
  /// Solves `Aᵀ X = B` from the factors of `A`.
  static func getrsTransposed(
    _ n: Int, _ columns: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>, _ b: Pointer
  ) -> Int32
  static func gelsd(
    _ m: Int, _ n: Int, _ columns: Int, _ a: Pointer, _ b: Pointer, _ s: Pointer, _ rcond: Double,
    _ rank: inout Int32
  ) -> Int32
  /// `C = op(A) op(B)` of row-major matrices, `C` `[m, n]`, inner extent `k`.
  static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Self>,
    _ b: UnsafePointer<Self>, _ c: Pointer)
}

extension Character {
  fileprivate var lapack: CChar { CChar(asciiValue ?? 0) }
}

extension Int {
  /// A leading dimension: at least 1 even of an empty matrix.
  fileprivate var leading: Int32 { Int32(Swift.max(1, self)) }
}

private func transposition(_ transpose: Bool) -> CBLAS_TRANSPOSE { transpose ? CblasTrans : CblasNoTrans }

extension Float: LAPACKScalar {
  static func gesdd(
    _ job: Character, _ m: Int, _ n: Int, _ a: Pointer, _ s: Pointer, _ u: Pointer, _ ldu: Int, _ vt: Pointer,
    _ ldvt: Int
  ) -> Int32 {
    LAPACKE_sgesdd(
      LAPACK_COL_MAJOR, job.lapack, Int32(m), Int32(n), a, m.leading, s, u, ldu.leading, vt, ldvt.leading)
  }

  static func syevd(_ job: Character, _ n: Int, _ a: Pointer, _ w: Pointer) -> Int32 {
    LAPACKE_ssyevd(LAPACK_COL_MAJOR, job.lapack, Character("U").lapack, Int32(n), a, n.leading, w)
  }

  static func geev(_ n: Int, _ a: Pointer, _ real: Pointer, _ imaginary: Pointer) -> Int32 {
    let none = Character("N").lapack
    return LAPACKE_sgeev(LAPACK_COL_MAJOR, none, none, Int32(n), a, n.leading, real, imaginary, nil, 1, nil, 1)
  }

  static func geqrf(_ m: Int, _ n: Int, _ a: Pointer, _ tau: Pointer) -> Int32 {
    LAPACKE_sgeqrf(LAPACK_COL_MAJOR, Int32(m), Int32(n), a, m.leading, tau)
  }

  static func orgqr(_ m: Int, _ n: Int, _ k: Int, _ a: Pointer, _ tau: Pointer) -> Int32 {
    LAPACKE_sorgqr(LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(k), a, m.leading, tau)
  }

  static func potrf(_ n: Int, _ a: Pointer) -> Int32 {
    LAPACKE_spotrf(LAPACK_COL_MAJOR, Character("U").lapack, Int32(n), a, n.leading)
  }

  static func getrf(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    LAPACKE_sgetrf(LAPACK_COL_MAJOR, Int32(n), Int32(n), a, n.leading, pivots)
  }

  static func getri(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    LAPACKE_sgetri(LAPACK_COL_MAJOR, Int32(n), a, n.leading, pivots)
  }

  static func getrsTransposed(
    _ n: Int, _ columns: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>, _ b: Pointer
  ) -> Int32 {
    LAPACKE_sgetrs(
      LAPACK_COL_MAJOR, Character("T").lapack, Int32(n), Int32(columns), a, n.leading, pivots, b, n.leading)
  }

  static func gelsd(
    _ m: Int, _ n: Int, _ columns: Int, _ a: Pointer, _ b: Pointer, _ s: Pointer, _ rcond: Double,
    _ rank: inout Int32
  ) -> Int32 {
    LAPACKE_sgelsd(
      LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(columns), a, m.leading, b, Swift.max(m, n).leading, s,
      Float(rcond), &rank)
  }

  static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>,
    _ b: UnsafePointer<Float>, _ c: Pointer
  ) {
    cblas_sgemm(
      CblasRowMajor, transposition(transposeA), transposition(transposeB), Int32(m), Int32(n), Int32(k), 1, a,
      (transposeA ? m : k).leading, b, (transposeB ? k : n).leading, 0, c, n.leading)
  }
}

extension Double: LAPACKScalar {
  static func gesdd(
    _ job: Character, _ m: Int, _ n: Int, _ a: Pointer, _ s: Pointer, _ u: Pointer, _ ldu: Int, _ vt: Pointer,
    _ ldvt: Int
  ) -> Int32 {
    LAPACKE_dgesdd(
      LAPACK_COL_MAJOR, job.lapack, Int32(m), Int32(n), a, m.leading, s, u, ldu.leading, vt, ldvt.leading)
  }

  static func syevd(_ job: Character, _ n: Int, _ a: Pointer, _ w: Pointer) -> Int32 {
    LAPACKE_dsyevd(LAPACK_COL_MAJOR, job.lapack, Character("U").lapack, Int32(n), a, n.leading, w)
  }

  static func geev(_ n: Int, _ a: Pointer, _ real: Pointer, _ imaginary: Pointer) -> Int32 {
    let none = Character("N").lapack
    return LAPACKE_dgeev(LAPACK_COL_MAJOR, none, none, Int32(n), a, n.leading, real, imaginary, nil, 1, nil, 1)
  }

  static func geqrf(_ m: Int, _ n: Int, _ a: Pointer, _ tau: Pointer) -> Int32 {
    LAPACKE_dgeqrf(LAPACK_COL_MAJOR, Int32(m), Int32(n), a, m.leading, tau)
  }

  static func orgqr(_ m: Int, _ n: Int, _ k: Int, _ a: Pointer, _ tau: Pointer) -> Int32 {
    LAPACKE_dorgqr(LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(k), a, m.leading, tau)
  }

  static func potrf(_ n: Int, _ a: Pointer) -> Int32 {
    LAPACKE_dpotrf(LAPACK_COL_MAJOR, Character("U").lapack, Int32(n), a, n.leading)
  }

  static func getrf(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    LAPACKE_dgetrf(LAPACK_COL_MAJOR, Int32(n), Int32(n), a, n.leading, pivots)
  }

  static func getri(_ n: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
    LAPACKE_dgetri(LAPACK_COL_MAJOR, Int32(n), a, n.leading, pivots)
  }

  static func getrsTransposed(
    _ n: Int, _ columns: Int, _ a: Pointer, _ pivots: UnsafeMutablePointer<Int32>, _ b: Pointer
  ) -> Int32 {
    LAPACKE_dgetrs(
      LAPACK_COL_MAJOR, Character("T").lapack, Int32(n), Int32(columns), a, n.leading, pivots, b, n.leading)
  }

  static func gelsd(
    _ m: Int, _ n: Int, _ columns: Int, _ a: Pointer, _ b: Pointer, _ s: Pointer, _ rcond: Double,
    _ rank: inout Int32
  ) -> Int32 {
    LAPACKE_dgelsd(
      LAPACK_COL_MAJOR, Int32(m), Int32(n), Int32(columns), a, m.leading, b, Swift.max(m, n).leading, s,
      rcond, &rank)
  }

  static func gemm(
    _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Double>,
    _ b: UnsafePointer<Double>, _ c: Pointer
  ) {
    cblas_dgemm(
      CblasRowMajor, transposition(transposeA), transposition(transposeB), Int32(m), Int32(n), Int32(k), 1, a,
      (transposeA ? m : k).leading, b, (transposeB ? k : n).leading, 0, c, n.leading)
  }
}
