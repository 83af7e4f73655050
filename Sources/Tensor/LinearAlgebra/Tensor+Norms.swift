import Glibc

/// Which norm of a matrix.
public enum MatrixNorm: Sendable, CaseIterable {
  /// Root of the sum of squares.
  case frobenius
  /// Largest singular value.
  case spectral
  /// Sum of the singular values.
  case nuclear
  /// Largest sum of absolute values in a column.
  case one
  /// Largest sum of absolute values in a row.
  case infinity
}

extension Tensor {
  /// Vector norm `(Σ |x|^order)^(1/order)` over the given axes (over all elements when none is given), in `f64` inside.
  ///
  /// - Parameters:
  ///   - order: 1, 2 …; `.infinity` is the largest absolute value, `-.infinity` the smallest, 0 counts what is not 0
  ///   - keepDims: whether the axes stay, with extent 1
  public func norm(_ axes: Int..., order: Double = 2, keepDims: Bool = false) -> Tensor {
    norm(axes, order: order, keepDims: keepDims)
  }
  public func norm(_ axes: [Int], order: Double = 2, keepDims: Bool = false) -> Tensor {
    let reduced = axes.isEmpty ? Array(shape.indices) : axes.map { normalizedAxis($0, "norm") }
    guard Set(reduced).count == reduced.count else { tensorFailure("norm: axes \(reduced) of shape \(shape) repeat") }
    let x = forLAPACK("norm"), kept = shape.indices.filter { !reduced.contains($0) }
    let count = reduced.map { shape[$0] }.reduce(1, *), outer = kept.map { shape[$0] }
    guard count > 0 || order >= 0 && order.isFinite else {
      tensorFailure("norm: no order \(order) of no elements, shape \(shape)")
    }
    let rows = x.permuted(kept + reduced)
    let runs = outer.reduce(1, *)
    let values =
      x.dtype == .f64 ? rows.norms(Double.self, runs, count, order) : rows.norms(Float.self, runs, count, order)
    let newShape = keepDims ? shape.indices.map { reduced.contains($0) ? 1 : shape[$0] } : outer
    return Tensor(scalars: values, shape: newShape).converted(to: x.dtype)
  }

  /// Norm of the matrices `[…, rows, columns]`, `[…]`. Only the spectral and nuclear norms throw.
  public func matrixNorm(_ kind: MatrixNorm) throws(LinearAlgebraError) -> Tensor {
    _ = matrixShape("matrixNorm")
    switch kind {
    case .frobenius: return norm(-2, -1)
    case .spectral: return try singularValues().norm(-1, order: .infinity)
    case .nuclear: return try singularValues().norm(-1, order: 1)
    case .one: return norm(-2, order: 1).norm(-1, order: .infinity)
    case .infinity: return norm(-1, order: 1).norm(-1, order: .infinity)
    }
  }

  /// The norm of each of `runs` runs of `count` elements.
  private func norms<Scalar: LAPACKScalar>(
    _ type: Scalar.Type, _ runs: Int, _ count: Int, _ order: Double
  ) -> [Double] {
    let packed = aligned()
    let base = packed.rawPointer.assumingMemoryBound(to: Scalar.self)
    return withExtendedLifetime(packed) {
      [Double](unsafeUninitializedCapacity: runs) { result, initialized in
        nonisolated(unsafe) let result = result
        parallelFor(runs, grain: max(1, 16384 / max(1, count))) { range in
          for run in range {
            result.initializeElement(
              at: run, to: vectorNorm(UnsafeBufferPointer(start: base + run * count, count: count), order))
          }
        }
        initialized = runs
      }
    }
  }
}

private func vectorNorm<Scalar: LAPACKScalar>(_ values: UnsafeBufferPointer<Scalar>, _ order: Double) -> Double {
  switch order {
  case .infinity: return values.reduce(0) { $1.isNaN ? .nan : max($0, Double(abs($1))) }
  case -.infinity: return values.reduce(Double.infinity) { $1.isNaN ? .nan : min($0, Double(abs($1))) }
  case 0: return Double(values.count { $0 != 0 })
  case 1: return values.reduce(0) { $0 + Double(abs($1)) }
  case 2: return euclideanNorm(values)
  default: return pow(values.reduce(0) { $0 + pow(Double(abs($1)), order) }, 1 / order)
  }
}

/// Squares of very large or small `f64` values leave the range: then scaled by the largest.
private func euclideanNorm<Scalar: LAPACKScalar>(_ values: UnsafeBufferPointer<Scalar>) -> Double {
  let plain = values.reduce(0) { $0 + Double($1) * Double($1) }
  if plain.isNormal, plain < 1e300, plain > 1e-290 { return plain.squareRoot() }
  let largest = values.reduce(0) { $1.isNaN ? .nan : max($0, Double(abs($1))) }
  guard largest > 0, largest.isFinite else { return largest }
  let scaled = values.reduce(0) { $0 + (Double($1) / largest) * (Double($1) / largest) }
  return largest * scaled.squareRoot()
}
