// Activation functions, in PyTorch's definitions. Each is one pass; the result has the element type of the input.
import CKernels

/// The two forms of the Gaussian error linear unit (arXiv 1606.08415).
public enum GELU: Sendable {
  /// `x Φ(x)`: torch's default.
  case erf
  /// The tanh approximation, torch's `approximate="tanh"`.
  case tanh
}

extension Tensor {
  /// The non-linearity a product can also apply on its way to memory, on its own.
  public func activated(by activation: Activation) -> Tensor {
    switch activation {
    case .identity: self
    case .geluTanh: gelu(.tanh)
    case .gelu: gelu(.erf)
    case .silu: silu()
    case .quickGELU: quickGELU()
    }
  }

  public func gelu(_ form: GELU = .erf) -> Tensor {
    unary(form == .tanh ? ck_op_gelu_tanh : ck_op_gelu_erf, fractional: true)
  }
  /// `x sigmoid(1.702 x)`, CLIP's approximation of GELU.
  public func quickGELU() -> Tensor { unary(ck_op_quick_gelu, fractional: true) }
  /// `x sigmoid(x)`
  public func silu() -> Tensor { unary(ck_op_silu, fractional: true) }
  /// `1 / (1 + e^-x)`
  public func sigmoid() -> Tensor { unary(ck_op_sigmoid, fractional: true) }
  /// `max(x, 0)`; NaN stays NaN.
  public func relu() -> Tensor { unary(ck_op_relu) }
  /// `log(1 + e^x)`, and `x` itself above 20.
  public func softplus() -> Tensor { unary(ck_op_softplus, fractional: true) }
}
