import Tensor

/// Layer norm over the last axis, with an optional learned scale and shift, and an optional modulation in the same pass.
///
/// Source: `torch.nn.LayerNorm`.
public struct LayerNorm: Sendable {
  /// `[dim]`; nil without elementwise affine.
  public var weight, bias: Tensor?
  public var eps: Float

  public init(_ dim: Int, elementwiseAffine: Bool = true, bias: Bool = true, eps: Float = 1e-5, _ w: Weights) {
    weight = elementwiseAffine ? w.tensor("weight", dim) : nil
    self.bias = elementwiseAffine && bias ? w.tensor("bias", dim) : nil
    self.eps = eps
  }

  /// Without learned parameters.
  public init(eps: Float) { self.eps = eps }

  /// - Parameters:
  ///   - x: `[..., dim]`
  ///   - scale: `[batch, dim]`; the normalised value is multiplied by `1 + scale`
  ///   - shift: `[batch, dim]`, added last
  public func callAsFunction(_ x: Tensor, scale: Tensor? = nil, shift: Tensor? = nil) -> Tensor {
    x.layerNorm(
      weight: weight, bias: bias, scale: scale?.unsqueezed(1), shift: shift?.unsqueezed(1), epsilon: eps)
  }
}

/// Root-mean-square norm over the last axis.
///
/// Source: diffusers `RMSNorm`, transformers `T5LayerNorm`.
public struct RMSNorm: Sendable {
  /// `[dim]`; nil without elementwise affine.
  public var weight: Tensor?
  public var eps: Float

  public init(_ dim: Int, elementwiseAffine: Bool = true, eps: Float = 1e-6, _ w: Weights) {
    weight = elementwiseAffine ? w.tensor("weight", dim) : nil
    self.eps = eps
  }

  /// - Parameter x: `[..., dim]`
  public func callAsFunction(_ x: Tensor) -> Tensor { x.rmsNorm(weight: weight, epsilon: eps) }
}

/// Group norm over groups of channels and all positions.
///
/// Source: `torch.nn.GroupNorm`.
public struct GroupNorm: Sendable {
  /// `[channels]`
  public var weight, bias: Tensor
  public var groups: Int
  public var eps: Float

  public init(groups: Int, _ channels: Int, eps: Float = 1e-6, _ w: Weights) {
    weight = w.tensor("weight", channels)
    bias = w.tensor("bias", channels)
    self.groups = groups
    self.eps = eps
  }

  /// - Parameter x: `[batch, channels, ...]`
  /// - Parameter silu: whether the SiLU that follows in residual blocks is applied in the same pass
  public func callAsFunction(_ x: Tensor, silu: Bool = false) -> Tensor {
    x.groupNorm(groups: groups, weight: weight, bias: bias, epsilon: eps, silu: silu)
  }
}
