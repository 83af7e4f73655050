import Tensor

// The vectors that adaptive norms are told, as variables, with their sites.

/// Shift, scale and gate of one branch, each `[batch, dim]`.
public struct TracedModulation {
  public var shift, scale, gate: Variable

  /// As the attention's sites see it.
  public func visitedAtAttention(by tap: TracedTap) -> Self {
    Self(
      shift: tap(.attentionShift, shift), scale: tap(.attentionScale, scale), gate: tap(.attentionGate, gate))
  }

  /// As the MLP's sites see it.
  public func visitedAtMLP(by tap: TracedTap) -> Self {
    Self(shift: tap(.mlpShift, shift), scale: tap(.mlpScale, scale), gate: tap(.mlpGate, gate))
  }
}

extension Linear {
  /// The equal parts of what a conditioning becomes.
  fileprivate func modulation(_ conditioning: Variable, parts: Int) -> [Variable] {
    self(conditioning.activated(by: .silu)).chunked(parts)
  }
}

extension LayerNorm {
  /// The normalised tokens, scaled and shifted.
  ///
  /// - Parameter x: tokens, `[batch, tokens, dim]`
  public func callAsFunction(_ x: Variable, _ modulation: TracedModulation) -> Variable {
    self(x, scale: modulation.scale, shift: modulation.shift)
  }
}

extension AdaLayerNormZero {
  /// - Parameter conditioning: `[batch, dim]`
  public func modulation(
    _ conditioning: Variable, tap: TracedTap
  ) -> (attention: TracedModulation, mlp: TracedModulation) {
    let c = linear.modulation(conditioning, parts: 6)
    return (
      TracedModulation(shift: c[0], scale: c[1], gate: c[2]).visitedAtAttention(by: tap),
      TracedModulation(shift: c[3], scale: c[4], gate: c[5]).visitedAtMLP(by: tap)
    )
  }
}

extension AdaLayerNormZeroSingle {
  /// - Parameter conditioning: `[batch, dim]`
  public func modulation(_ conditioning: Variable, tap: TracedTap) -> TracedModulation {
    let c = linear.modulation(conditioning, parts: 3)
    return TracedModulation(shift: c[0], scale: c[1], gate: c[2]).visitedAtAttention(by: tap)
  }
}

extension SD35AdaLayerNormZeroX {
  /// - Parameter conditioning: `[batch, dim]`
  public func modulation(
    _ conditioning: Variable, tap: TracedTap
  ) -> (attention: TracedModulation, mlp: TracedModulation, dual: TracedModulation) {
    let c = linear.modulation(conditioning, parts: 9)
    return (
      TracedModulation(shift: c[0], scale: c[1], gate: c[2]).visitedAtAttention(by: tap),
      TracedModulation(shift: c[3], scale: c[4], gate: c[5]).visitedAtMLP(by: tap),
      TracedModulation(
        shift: tap(.dualShift, c[6]), scale: tap(.dualScale, c[7]), gate: tap(.dualGate, c[8]))
    )
  }
}

extension CogVideoXLayerNormZero {
  /// - Parameter conditioning: `[batch, conditioningDim]`
  public func modulation(_ conditioning: Variable) -> (video: TracedModulation, text: TracedModulation) {
    let c = linear.modulation(conditioning, parts: 6)
    return (
      TracedModulation(shift: c[0], scale: c[1], gate: c[2]), TracedModulation(shift: c[3], scale: c[4], gate: c[5])
    )
  }
}

extension AdaLayerNormContinuous {
  /// - Parameters:
  ///   - x: tokens, `[batch, tokens, dim]`
  ///   - conditioning: `[batch, conditioningDim]`
  ///   - tap: for the sites `attentionShift` and `attentionScale`; nil where the norm is not that of a block
  public func callAsFunction(_ x: Variable, _ conditioning: Variable, tap: TracedTap? = nil) -> Variable {
    let c = linear.modulation(conditioning, parts: 2)
    let shift = tap.map { $0(.attentionShift, c[1]) } ?? c[1], scale = tap.map { $0(.attentionScale, c[0]) } ?? c[0]
    return norm(x, scale: scale, shift: shift)
  }
}

extension AdaLayerNorm {
  /// - Parameters:
  ///   - x: tokens, `[batch, tokens, dim]`
  ///   - conditioning: `[batch, conditioningDim]`
  public func callAsFunction(_ x: Variable, _ conditioning: Variable) -> Variable {
    let c = linear.modulation(conditioning, parts: 2)
    return norm(x, scale: c[1], shift: c[0])
  }
}
