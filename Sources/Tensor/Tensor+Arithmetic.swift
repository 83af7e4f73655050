// Element-wise arithmetic with broadcasting. `Tensor op Tensor` and `Tensor op Float`, nothing more: further overloads
// make the type checker slow.
//
// Types: the same type stays, a float beats an integer beats `bool`, different narrow floats meet in `f32`, `f64`
// beats all. Arithmetic happens in `f32` (`f64` for `f64`, 64-bit integers that wrap around for integers) and is
// rounded once, to the result's type. A `Float` leaves the type of a float tensor and makes an integer tensor `f32`.
import CKernels

extension Tensor {
  public static func + (a: Tensor, b: Tensor) -> Tensor { binary(ck_op_add, a, b) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { binary(ck_op_subtract, a, b) }
  public static func * (a: Tensor, b: Tensor) -> Tensor { binary(ck_op_multiply, a, b) }
  /// Quotient; of two integer tensors in `f32`.
  public static func / (a: Tensor, b: Tensor) -> Tensor { binary(ck_op_divide, a, b, fractional: true) }

  public static func + (a: Tensor, b: Float) -> Tensor { a.withScalar(ck_op_add, b) }
  public static func - (a: Tensor, b: Float) -> Tensor { a.withScalar(ck_op_subtract, b) }
  public static func * (a: Tensor, b: Float) -> Tensor { a.withScalar(ck_op_multiply, b) }
  public static func / (a: Tensor, b: Float) -> Tensor { a.withScalar(ck_op_divide, b) }

  public static func + (a: Float, b: Tensor) -> Tensor { b.withScalar(ck_op_add, a, reversed: true) }
  public static func - (a: Float, b: Tensor) -> Tensor { b.withScalar(ck_op_subtract, a, reversed: true) }
  public static func * (a: Float, b: Tensor) -> Tensor { b.withScalar(ck_op_multiply, a, reversed: true) }
  public static func / (a: Float, b: Tensor) -> Tensor { b.withScalar(ck_op_divide, a, reversed: true) }

  // In place when nobody else sees the memory and neither shape nor type changes.
  public static func += (a: inout Tensor, b: Tensor) { a.apply(ck_op_add, b) }
  public static func -= (a: inout Tensor, b: Tensor) { a.apply(ck_op_subtract, b) }
  public static func *= (a: inout Tensor, b: Tensor) { a.apply(ck_op_multiply, b) }
  public static func /= (a: inout Tensor, b: Tensor) { a.apply(ck_op_divide, b, fractional: true) }

  public static func += (a: inout Tensor, b: Float) { a.applyScalar(ck_op_add, b) }
  public static func -= (a: inout Tensor, b: Float) { a.applyScalar(ck_op_subtract, b) }
  public static func *= (a: inout Tensor, b: Float) { a.applyScalar(ck_op_multiply, b) }
  public static func /= (a: inout Tensor, b: Float) { a.applyScalar(ck_op_divide, b) }

  public static prefix func - (a: Tensor) -> Tensor { a.unary(ck_op_negate) }

  /// The smaller of both at every position; NaN if either is.
  public func minimum(_ other: Tensor) -> Tensor { Tensor.binary(ck_op_minimum, self, other) }
  public func minimum(_ other: Float) -> Tensor { withScalar(ck_op_minimum, other) }
  /// The larger of both at every position; NaN if either is.
  public func maximum(_ other: Tensor) -> Tensor { Tensor.binary(ck_op_maximum, self, other) }
  public func maximum(_ other: Float) -> Tensor { withScalar(ck_op_maximum, other) }

  /// `self ^ exponent`; of two integer tensors in `f32`.
  public func power(_ exponent: Tensor) -> Tensor { Tensor.binary(ck_op_power, self, exponent, fractional: true) }
  public func power(_ exponent: Float) -> Tensor {
    switch exponent {
    case 2: withType(floatType: true).squared()
    case 0.5: squareRoot()
    default: withScalar(ck_op_power, exponent)
    }
  }

  /// Limited to `lower … upper`; NaN stays NaN. The element type stays.
  public func clamped(min lower: Float = -.infinity, max upper: Float = .infinity) -> Tensor {
    let limits = [lower, upper].map { limit in
      dtype.computeType == .i64 ? Tensor(limit).converted(to: .i64) : scalar(limit)
    }
    return mapped(ck_op_clamp, [self] + limits, as: dtype, computing: dtype.computeType)
  }

  // MARK: Fused

  /// `self * factor + term` in one pass.
  public func multiplyAdd(_ factor: Tensor, _ term: Tensor) -> Tensor { ternary(ck_op_multiply_add, factor, term) }

  /// `self * (1 + scale) + shift` in one pass: the modulation of an adaptive norm (DiT, arXiv 2212.09748).
  public func modulated(scale: Tensor, shift: Tensor) -> Tensor { ternary(ck_op_modulate, scale, shift) }

  /// `self + gate * branch` in one pass: a gated residual connection.
  public func adding(_ branch: Tensor, gatedBy gate: Tensor) -> Tensor {
    branch.ternary(ck_op_multiply_add, gate, self)
  }

  private func ternary(_ op: ck_op, _ second: Tensor, _ third: Tensor) -> Tensor {
    let type = DType.promoted(DType.promoted(dtype, second.dtype), third.dtype)
    return mapped(op, [self, second, third], as: type, computing: type.computeType)
  }

  private func withType(floatType: Bool) -> Tensor { converted(to: dtype.floatType) }
}
