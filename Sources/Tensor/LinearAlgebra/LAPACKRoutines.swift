import CKernels
import CLAPACKE
import COpenBLAS

/// The names that the routines of LAPACK, and two of BLAS, have for one element type.
struct LAPACKRoutines<Scalar>: Sendable {
  typealias Pointer = UnsafeMutablePointer<Scalar>?
  typealias Constant = UnsafePointer<Scalar>?
  typealias Integers = UnsafeMutablePointer<Int32>?
  typealias Constants = UnsafePointer<Int32>?
  typealias Text = CChar

  let gesdd: @Sendable (Int32, Text, Int32, Int32, Pointer, Int32, Pointer, Pointer, Int32, Pointer, Int32) -> Int32
  let bdsdc:
    @Sendable (
      Int32, Text, Text, Int32, Pointer, Pointer, Pointer, Int32, Pointer, Int32, Pointer, Integers
    ) -> Int32
  let syevd: @Sendable (Int32, Text, Text, Int32, Pointer, Int32, Pointer) -> Int32
  let stedc: @Sendable (Int32, Text, Int32, Pointer, Pointer, Pointer, Int32) -> Int32
  let sterf: @Sendable (Int32, Pointer, Pointer) -> Int32
  let geev:
    @Sendable (
      Int32, Text, Text, Int32, Pointer, Int32, Pointer, Pointer, Pointer, Int32, Pointer, Int32
    ) -> Int32
  let geqrf: @Sendable (Int32, Int32, Int32, Pointer, Int32, Pointer) -> Int32
  let orgqr: @Sendable (Int32, Int32, Int32, Int32, Pointer, Int32, Constant) -> Int32
  let trtri: @Sendable (Int32, Text, Text, Int32, Pointer, Int32) -> Int32
  let potrf: @Sendable (Int32, Text, Int32, Pointer, Int32) -> Int32
  let getrf: @Sendable (Int32, Int32, Int32, Pointer, Int32, Integers) -> Int32
  let getri: @Sendable (Int32, Int32, Pointer, Int32, Constants) -> Int32
  let getrs: @Sendable (Int32, Text, Int32, Int32, Constant, Int32, Constants, Pointer, Int32) -> Int32
  let gelsd: @Sendable (Int32, Int32, Int32, Int32, Pointer, Int32, Pointer, Int32, Pointer, Scalar, Integers) -> Int32
  // Steps of `stedc` and `bdsdc`.
  let laed2:
    @Sendable (
      Integers, Constants, Constants, Pointer, Pointer, Constants, Integers, Pointer, Pointer, Pointer, Pointer,
      Pointer, Integers, Integers, Integers, Integers, Integers
    ) -> Void
  let lasd0:
    @Sendable (
      Constants, Constants, Pointer, Pointer, Pointer, Constants, Pointer, Constants, Constants, Integers, Pointer,
      Integers
    ) -> Void
  let lasd2:
    @Sendable (
      Constants, Constants, Constants, Integers, Pointer, Pointer, Constant, Constant, Pointer, Constants, Pointer,
      Constants, Pointer, Pointer, Constants, Pointer, Constants, Integers, Integers, Integers, Integers, Integers,
      Integers
    ) -> Void
  let larfg: @Sendable (Int32, Pointer, Pointer, Int32, Pointer) -> Int32
  // BLAS.
  let gemv:
    @Sendable (
      CBLAS_LAYOUT, CBLAS_TRANSPOSE, Int32, Int32, Scalar, Constant, Int32, Constant, Int32, Scalar, Pointer, Int32
    ) -> Void
  let gemm:
    @Sendable (
      CBLAS_LAYOUT, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, Int32, Int32, Int32, Scalar, Constant, Int32, Constant, Int32,
      Scalar, Pointer, Int32
    ) -> Void
  let trmm:
    @Sendable (
      CBLAS_LAYOUT, CBLAS_SIDE, CBLAS_UPLO, CBLAS_TRANSPOSE, CBLAS_DIAG, Int32, Int32, Scalar, Constant, Int32,
      Pointer, Int32
    ) -> Void
}

extension Float: LAPACKScalar {
  static let routines = LAPACKRoutines<Float>(
    gesdd: LAPACKE_sgesdd, bdsdc: LAPACKE_sbdsdc, syevd: LAPACKE_ssyevd, stedc: LAPACKE_sstedc, sterf: LAPACKE_ssterf,
    geev: LAPACKE_sgeev, geqrf: LAPACKE_sgeqrf, orgqr: LAPACKE_sorgqr, trtri: LAPACKE_strtri, potrf: LAPACKE_spotrf,
    getrf: LAPACKE_sgetrf, getri: LAPACKE_sgetri, getrs: LAPACKE_sgetrs, gelsd: LAPACKE_sgelsd, laed2: slaed2_,
    lasd0: slasd0_, lasd2: slasd2_, larfg: LAPACKE_slarfg, gemv: cblas_sgemv, gemm: cblas_sgemm, trmm: cblas_strmm)

  static func symmetricColumns(
    _ kernels: Kernels, _ a: UnsafePointer<Float>, _ leading: Int, rows: Int, columns: Int, _ x: UnsafePointer<Float>,
    _ y: Pointer
  ) {
    kernels.table.pointee.decomposition_f32.pointee.symmetric_columns(a, leading, rows, columns, x, y)
  }

  static func secularSums(
    _ kernels: Kernels, _ squares: UnsafePointer<Float>, _ poles: UnsafePointer<Float>, _ count: Int, _ x: Float
  ) -> (value: Float, slope: Float) {
    var value: Float = 0, slope: Float = 0
    kernels.table.pointee.decomposition_f32.pointee.secular_sums(squares, poles, count, x, &value, &slope)
    return (value, slope)
  }

  static func largestMagnitude(_ a: UnsafePointer<Float>, _ count: Int) -> Float {
    // As integers magnitudes are ordered as they are, with NaN on top, and their maximum takes one instruction.
    var largest: UInt32 = 0
    for index in 0..<count { largest = max(largest, a[index].magnitude.bitPattern) }
    return Float(bitPattern: largest)
  }
}

extension Double: LAPACKScalar {
  static let routines = LAPACKRoutines<Double>(
    gesdd: LAPACKE_dgesdd, bdsdc: LAPACKE_dbdsdc, syevd: LAPACKE_dsyevd, stedc: LAPACKE_dstedc, sterf: LAPACKE_dsterf,
    geev: LAPACKE_dgeev, geqrf: LAPACKE_dgeqrf, orgqr: LAPACKE_dorgqr, trtri: LAPACKE_dtrtri, potrf: LAPACKE_dpotrf,
    getrf: LAPACKE_dgetrf, getri: LAPACKE_dgetri, getrs: LAPACKE_dgetrs, gelsd: LAPACKE_dgelsd, laed2: dlaed2_,
    lasd0: dlasd0_, lasd2: dlasd2_, larfg: LAPACKE_dlarfg, gemv: cblas_dgemv, gemm: cblas_dgemm, trmm: cblas_dtrmm)

  static func symmetricColumns(
    _ kernels: Kernels, _ a: UnsafePointer<Double>, _ leading: Int, rows: Int, columns: Int, _ x: UnsafePointer<Double>,
    _ y: Pointer
  ) {
    kernels.table.pointee.decomposition_f64.pointee.symmetric_columns(a, leading, rows, columns, x, y)
  }

  static func secularSums(
    _ kernels: Kernels, _ squares: UnsafePointer<Double>, _ poles: UnsafePointer<Double>, _ count: Int, _ x: Double
  ) -> (value: Double, slope: Double) {
    var value: Double = 0, slope: Double = 0
    kernels.table.pointee.decomposition_f64.pointee.secular_sums(squares, poles, count, x, &value, &slope)
    return (value, slope)
  }

  static func largestMagnitude(_ a: UnsafePointer<Double>, _ count: Int) -> Double {
    var largest: UInt64 = 0
    for index in 0..<count { largest = max(largest, a[index].magnitude.bitPattern) }
    return Double(bitPattern: largest)
  }
}
