import COpenBLAS

/// OpenBLAS as this package uses it: one thread per call, because our pool calls it from its own threads and idle
/// threads of OpenBLAS's pool would take the cores from ours.
package enum BLAS {
  /// Call before the first BLAS or LAPACK routine; later calls cost one check.
  @inline(__always)
  package static func prepare() { _ = prepared }

  private static let prepared: Void = {
    _ = ck_openblas_choose_again()
    openblas_set_num_threads(1)
  }()
}
