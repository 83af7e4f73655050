import NN
import Tensor

/// What of an activation is kept: a residual of FLUX.1 at 1024 px has 50 MB per site and step. Applied in the order they are
/// given, to tensors of the shapes that `Site.Point` tells.
public enum ActivationReduction: Sendable {
  /// The mean over tokens, which are then gone: `[batch, dim]`, or `[batch, heads, headDim]`.
  case tokenMean
  /// Some tokens, by their positions in the stream.
  case tokens([Int])
  /// `x P` along the last axis, `P` of shape `[dim, kept]`: principal components, a probe's directions.
  case projection(Tensor)
  /// Another element type, such as `bf16`.
  case type(DType)
}

extension [ActivationReduction] {
  /// - Throws: `HookError.refused` for one that fits no activation
  func check(for processor: String) throws(HookError) {
    for (index, reduction) in enumerated() {
      var reason: String?
      switch reduction {
      case .tokens(let tokens) where tokens.isEmpty: reason = "no token is chosen to be kept"
      case .tokens(let tokens) where tokens.contains { $0 < 0 }:
        reason = "tokens \(tokens) to be kept, expected 0 and above"
      case .projection(let matrix) where matrix.rank != 2 || matrix.count == 0:
        reason = "a projection of shape \(matrix.shape), expected [dim, kept]"
      case .tokenMean where self[(index + 1)...].contains { $0.needsTokens }:
        reason = "the tokens are gone after their mean, nothing can be done to them"
      default: break
      }
      if let reason { throw .refused(processor: processor, reason: reason) }
    }
  }

  /// What is kept of a tensor. One that has no tokens, `[batch, dim]`, passes reductions of tokens as it is.
  func applied(to tensor: Tensor, at site: Site, for processor: String) -> Tensor {
    let hasTokens = tensor.rank >= 3
    return reduce(tensor) { tensor, reduction in
      switch reduction {
      case .tokenMean: return hasTokens ? tensor.mean(-2) : tensor
      case .tokens(let tokens):
        guard hasTokens else { return tensor }
        if let outside = tokens.first(where: { $0 >= tensor.shape[tensor.rank - 2] }) {
          tensorFailure("\(processor) at \(site): there is no token \(outside) in shape \(tensor.shape)")
        }
        return tensor.take(-2, tokens)
      case .projection(let matrix):
        guard tensor.shape.last == matrix.shape[0] else {
          tensorFailure("\(processor) at \(site): shape \(tensor.shape) and a projection \(matrix.shape) do not fit")
        }
        return Tensor.matmul(tensor, matrix)
      case .type(let type): return tensor.converted(to: type)
      }
    }
  }
}

extension ActivationReduction {
  fileprivate var needsTokens: Bool {
    switch self {
    case .tokenMean, .tokens: true
    case .projection, .type: false
    }
  }
}
