/// `[…, m, k]` times `[…, k, n]` with equal leading axes.
func batchedProduct(_ a: Tensor, _ b: Tensor) -> Tensor {
  guard a.dtype == b.dtype else { tensorFailure("einsum: dtypes \(a.dtype) and \(b.dtype) differ") }
  switch a.dtype {
  case .f32: return plainProduct(Float.self, a, b)
  case .f64: return plainProduct(Double.self, a, b)
  case .i64: return plainProduct(Int64.self, a, b)
  default:
    let wide: DType = a.dtype.isFloatingPoint ? .f32 : .i64
    return batchedProduct(a.converted(to: wide), b.converted(to: wide)).converted(to: a.dtype)
  }
}

private protocol ProductScalar: TensorScalar {
  static var zero: Self { get }
  func adding(_ a: Self, times b: Self) -> Self
}
extension Float: ProductScalar { fileprivate func adding(_ a: Float, times b: Float) -> Float { self + a * b } }
extension Double: ProductScalar { fileprivate func adding(_ a: Double, times b: Double) -> Double { self + a * b } }
extension Int64: ProductScalar { fileprivate func adding(_ a: Int64, times b: Int64) -> Int64 { self &+ a &* b } }

/// Row by row: every element of a row of `a` times a row of `b`, added to a row of the result.
private func plainProduct<Scalar: ProductScalar>(_ type: Scalar.Type, _ a: Tensor, _ b: Tensor) -> Tensor {
  let axes = a.rank - 2, lead = a.shape[..<axes]
  let (m, k, n) = (a.shape[axes], a.shape[axes + 1], b.shape[axes + 1])
  var result = Tensor(zeros: lead + [m, n], dtype: Scalar.dtype)
  let target = result.freshPointer(as: Scalar.self), size = MemoryLayout<Scalar>.size
  let (aRow, aStep, bRow, bStep) = (a.strides[axes], a.strides[axes + 1], b.strides[axes], b.strides[axes + 1])
  withExtendedLifetime((a, b)) {
    let left = a.rawPointer, right = b.rawPointer
    parallelFor(lead.reduce(m, *), grain: max(1, 16384 / max(1, k * n))) { rows in
      for row in rows {
        var rest = row / m, aStart = row % m * aRow, bStart = 0
        for axis in (0..<axes).reversed() {
          aStart += rest % a.shape[axis] * a.strides[axis]
          bStart += rest % a.shape[axis] * b.strides[axis]
          rest /= a.shape[axis]
        }
        let sums = target + row * n
        for i in 0..<k {
          let factor = (left + (aStart + i * aStep) * size).loadUnaligned(as: Scalar.self)
          let values = right + (bStart + i * bRow) * size
          if bStep == 1 {
            for j in 0..<n {
              sums[j] = sums[j].adding(factor, times: (values + j * size).loadUnaligned(as: Scalar.self))
            }
          } else {
            for j in 0..<n {
              sums[j] = sums[j].adding(factor, times: (values + j * bStep * size).loadUnaligned(as: Scalar.self))
            }
          }
        }
      }
    }
  }
  return result
}
