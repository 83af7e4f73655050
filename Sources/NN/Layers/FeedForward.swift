import Tensor

/// The two-layer perceptron of a transformer block.
///
/// Source: diffusers `FeedForward`; weights `net.0.proj` and `net.2`.
public struct FeedForward: Sendable {
  public enum Variant: String, Sendable {
    case gelu
    case geluApproximate = "gelu-approximate"
    /// The first layer gives value and gate; the value is multiplied by the gate's GELU.
    case geglu
  }

  public var up, down: Linear
  public var variant: Variant

  /// - Parameter hidden: width between the layers; four times `dim` unless given
  public init(_ dim: Int, hidden: Int? = nil, variant: Variant = .geluApproximate, bias: Bool = true, _ w: Weights) {
    let hidden = hidden ?? 4 * dim
    up = Linear(dim, variant == .geglu ? 2 * hidden : hidden, bias: bias, w["net"][0]["proj"])
    down = Linear(hidden, dim, bias: bias, w["net"][2])
    self.variant = variant
  }

  /// - Parameter x: `[..., dim]`
  public func callAsFunction(_ x: Tensor) -> Tensor { down(hidden([x]))[0] }

  /// What goes into the second layer, `[..., hidden]`.
  public func hidden(_ xs: [Tensor]) -> [Tensor] {
    switch variant {
    case .gelu: return up(xs, activation: .gelu)
    case .geluApproximate: return up(xs, activation: .geluTanh)
    case .geglu:
      return up(xs).map {
        let parts = $0.chunked(2)
        return parts[0] * parts[1].gelu()
      }
    }
  }

  /// `residual + gate * self(x)` for several inputs in one pass over the weights.
  ///
  /// - Parameter gates: `[batch, dim]` per input
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor]) -> [Tensor] {
    down(hidden(xs), gates: gates, residuals: residuals)
  }
}

/// The gated perceptron of T5 v1.1: `wo(gelu(wi_0 x) * wi_1 x)`.
///
/// Source: transformers `T5DenseGatedActDense`.
public struct GatedFeedForward: Sendable {
  public var gate, up, down: Linear

  public init(_ dim: Int, hidden: Int, _ w: Weights) {
    gate = Linear(dim, hidden, bias: false, w["wi_0"])
    up = Linear(dim, hidden, bias: false, w["wi_1"])
    down = Linear(hidden, dim, bias: false, w["wo"])
  }

  /// - Parameter x: `[..., dim]`
  public func callAsFunction(_ x: Tensor) -> Tensor { down(hidden([x]))[0] }

  /// What goes into the second layer, `[..., hidden]`.
  public func hidden(_ xs: [Tensor]) -> [Tensor] { zip(gate(xs, activation: .geluTanh), up(xs)).map { $0 * $1 } }
}
