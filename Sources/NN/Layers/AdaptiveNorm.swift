import Tensor

/// An adaptive norm with zero-initialised gates: the conditioning decides how tokens are scaled and shifted before attention and
/// MLP, and how much of each branch is let through.
public protocol BranchNorm: Sendable {
  /// `[parts * dim, dim]`
  var linear: Linear { get }
  var norm: LayerNorm { get }
  /// Vectors that a conditioning becomes: three for each branch.
  static var parts: Int { get }
}

extension BranchNorm {
  /// - Parameter conditionings: timestep and pooled-text embeddings, each `[batch, dim]`
  public func modulations(_ conditionings: [Tensor]) -> [BranchModulations<Tensor>] {
    linear(conditionings.map { $0.silu() }).map { BranchModulations($0.chunked(Self.parts)) }
  }

  /// - Parameter x: tokens, `[batch, tokens, dim]`
  /// - Returns: the normalised tokens, scaled and shifted for the joint attention
  public func callAsFunction(_ x: Tensor, _ modulations: BranchModulations<Tensor>) -> Tensor {
    norm(x, modulations.attention)
  }
}

/// Source: DiT, arXiv 2212.09748 §3.2; diffusers `AdaLayerNormZero`.
public struct AdaLayerNormZero: BranchNorm {
  public var linear: Linear
  public var norm: LayerNorm
  public static let parts = 6

  public init(_ dim: Int, _ w: Weights) {
    linear = Linear(dim, Self.parts * dim, w["linear"])
    norm = LayerNorm(eps: 1e-6)
  }
}

/// With three more vectors, for a block with a second, image-only attention.
///
/// Source: diffusers `SD35AdaLayerNormZeroX` (Stable Diffusion 3.5 Medium).
public struct SD35AdaLayerNormZeroX: BranchNorm {
  public var linear: Linear
  public var norm: LayerNorm
  public static let parts = 9

  public init(_ dim: Int, _ w: Weights) {
    linear = Linear(dim, Self.parts * dim, w["linear"])
    norm = LayerNorm(eps: 1e-6)
  }
}

/// The same for a block whose attention and MLP run side by side: one shift, one scale, one gate.
///
/// Source: diffusers `AdaLayerNormZeroSingle`.
public struct AdaLayerNormZeroSingle: Sendable {
  /// `[3 * dim, dim]`
  public var linear: Linear
  public var norm: LayerNorm

  public init(_ dim: Int, _ w: Weights) {
    linear = Linear(dim, 3 * dim, w["linear"])
    norm = LayerNorm(eps: 1e-6)
  }

  /// - Parameter conditionings: each `[batch, dim]`
  public func modulations(_ conditionings: [Tensor]) -> [Modulation<Tensor>] {
    linear(conditionings.map { $0.silu() }).map {
      let c = $0.chunked(3)
      return Modulation(shift: c[0], scale: c[1], gate: c[2])
    }
  }

  /// - Parameter x: tokens, `[batch, tokens, dim]`
  public func callAsFunction(_ x: Tensor, _ modulation: Modulation<Tensor>) -> Tensor { norm(x, modulation) }
}

/// Adaptive layer norm without gates: before the output projection, and before the attention of a stream that ends
/// there. The linear layer gives scale first, then shift.
///
/// Source: diffusers `AdaLayerNormContinuous`.
public struct AdaLayerNormContinuous: Sendable {
  /// `[2 * dim, conditioningDim]`
  public var linear: Linear
  public var norm: LayerNorm

  public init(_ dim: Int, conditioningDim: Int, eps: Float = 1e-6, _ w: Weights) {
    linear = Linear(conditioningDim, 2 * dim, w["linear"])
    norm = LayerNorm(eps: eps)
  }

  /// - Parameters:
  ///   - x: tokens, `[batch, tokens, dim]`
  ///   - conditioning: `[batch, conditioningDim]`
  public func callAsFunction(_ x: Tensor, _ conditioning: Tensor) -> Tensor { self([x], [conditioning])[0] }

  /// Several token streams with their conditionings, in one pass over the weight, with the sites `attentionShift` and
  /// `attentionScale` where there are taps.
  public func callAsFunction(_ xs: [Tensor], _ conditionings: [Tensor], taps: [Tap]? = nil) -> [Tensor] {
    linear(conditionings.map { $0.silu() }).enumerated().map { index, modulation in
      let c = modulation.chunked(2), tap = taps?[index]
      let shift = tap.map { $0(.attentionShift, c[1]) } ?? c[1], scale = tap.map { $0(.attentionScale, c[0]) } ?? c[0]
      return norm(xs[index], scale: scale, shift: shift)
    }
  }
}

/// CogVideoX's adaptive layer norm: one linear layer gives shift, scale and gate for video and for text tokens.
///
/// Source: diffusers `CogVideoXLayerNormZero`.
public struct CogVideoXLayerNormZero: Sendable {
  /// `[6 * dim, conditioningDim]`
  public var linear: Linear
  public var norm: LayerNorm

  public init(
    conditioningDim: Int, _ dim: Int, elementwiseAffine: Bool = true, eps: Float = 1e-5, bias: Bool = true, _ w: Weights
  ) {
    linear = Linear(conditioningDim, 6 * dim, bias: bias, w["linear"])
    norm = LayerNorm(dim, elementwiseAffine: elementwiseAffine, eps: eps, w["norm"])
  }

  /// - Parameter conditionings: each `[batch, conditioningDim]`
  public func modulations(_ conditionings: [Tensor]) -> [(video: Modulation<Tensor>, text: Modulation<Tensor>)] {
    linear(conditionings.map { $0.silu() }).map {
      let c = $0.chunked(6)
      return (.init(shift: c[0], scale: c[1], gate: c[2]), .init(shift: c[3], scale: c[4], gate: c[5]))
    }
  }

  /// - Parameter x: tokens, `[batch, tokens, dim]`
  public func callAsFunction(_ x: Tensor, _ modulation: Modulation<Tensor>) -> Tensor { norm(x, modulation) }
}

/// Adaptive layer norm before CogVideoX's output projection: shift first, then scale; the norm has parameters.
///
/// Source: diffusers `AdaLayerNorm` with `chunk_dim` 1.
public struct AdaLayerNorm: Sendable {
  /// `[2 * dim, conditioningDim]`
  public var linear: Linear
  public var norm: LayerNorm

  public init(conditioningDim: Int, _ dim: Int, elementwiseAffine: Bool = true, eps: Float = 1e-5, _ w: Weights) {
    linear = Linear(conditioningDim, 2 * dim, w["linear"])
    norm = LayerNorm(dim, elementwiseAffine: elementwiseAffine, eps: eps, w["norm"])
  }

  /// - Parameters:
  ///   - x: tokens, `[batch, tokens, dim]`
  ///   - conditioning: `[batch, conditioningDim]`
  public func callAsFunction(_ x: Tensor, _ conditioning: Tensor) -> Tensor {
    let c = linear(conditioning.silu()).chunked(2)
    return norm(x, scale: c[1], shift: c[0])
  }
}
