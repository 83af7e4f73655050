import CKernels

/// A non-linearity that a product can apply on its way to memory.
public enum Activation: String, Sendable, Hashable, CaseIterable {
  case identity
  /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`: PyTorch's `gelu(approximate="tanh")`.
  case geluTanh
  /// `x/2 (1 + erf(x/√2))`: PyTorch's `gelu`.
  case gelu
  /// `x sigmoid(x)`.
  case silu
  /// `x sigmoid(1.702 x)`: CLIP's GELU.
  case quickGELU

  var code: ck_activation {
    switch self {
    case .identity: ck_activation_none
    case .geluTanh: ck_activation_gelu_tanh
    case .gelu: ck_activation_gelu_erf
    case .silu: ck_activation_silu
    case .quickGELU: ck_activation_quick_gelu
    }
  }
}
