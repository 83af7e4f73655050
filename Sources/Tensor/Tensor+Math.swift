// Element-wise functions. Those with fractional values give `f32` for an integer tensor; every f32 function is within 2
// units in the last place of the exact value, on every instruction set.
import CKernels

extension Tensor {
  public func absolute() -> Tensor { unary(ck_op_abs) }
  /// -1, 0 or 1; NaN gives 0.
  public func sign() -> Tensor { unary(ck_op_sign) }
  public func squared() -> Tensor { unary(ck_op_square) }
  public func squareRoot() -> Tensor { unary(ck_op_sqrt, fractional: true) }
  /// 1 / sqrt(x)
  public func reciprocalSquareRoot() -> Tensor { unary(ck_op_rsqrt, fractional: true) }
  public func reciprocal() -> Tensor { unary(ck_op_reciprocal, fractional: true) }

  public func exp() -> Tensor { unary(ck_op_exp, fractional: true) }
  /// e^x - 1, accurate near 0.
  public func expMinusOne() -> Tensor { unary(ck_op_expm1, fractional: true) }
  public func log() -> Tensor { unary(ck_op_log, fractional: true) }
  /// log(1 + x), accurate near 0.
  public func logOnePlus() -> Tensor { unary(ck_op_log1p, fractional: true) }
  public func sin() -> Tensor { unary(ck_op_sin, fractional: true) }
  public func cos() -> Tensor { unary(ck_op_cos, fractional: true) }
  public func tanh() -> Tensor { unary(ck_op_tanh, fractional: true) }
  public func erf() -> Tensor { unary(ck_op_erf, fractional: true) }

  public func floor() -> Tensor { dtype.isFloatingPoint ? unary(ck_op_floor) : self }
  public func ceil() -> Tensor { dtype.isFloatingPoint ? unary(ck_op_ceil) : self }
  /// To the nearest integer, ties to even.
  public func rounded() -> Tensor { dtype.isFloatingPoint ? unary(ck_op_round) : self }
}
