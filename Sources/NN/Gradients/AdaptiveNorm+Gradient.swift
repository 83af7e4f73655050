import Tensor

// Adaptive norms on variables.

extension Linear {
  /// The equal parts of what a conditioning becomes.
  fileprivate func modulation(_ conditioning: Variable, parts: Int) -> [Variable] {
    self(conditioning.activated(by: .silu)).chunked(parts)
  }
}

extension BranchNorm {
  /// - Parameter conditioning: `[batch, dim]`
  public func modulations(_ conditioning: Variable) -> BranchModulations<Variable> {
    BranchModulations(linear.modulation(conditioning, parts: Self.parts))
  }
}

extension AdaLayerNormZeroSingle {
  /// - Parameter conditioning: `[batch, dim]`
  public func modulation(_ conditioning: Variable) -> Modulation<Variable> {
    let c = linear.modulation(conditioning, parts: 3)
    return Modulation(shift: c[0], scale: c[1], gate: c[2])
  }
}

extension CogVideoXLayerNormZero {
  /// - Parameter conditioning: `[batch, conditioningDim]`
  public func modulations(_ conditioning: Variable) -> (video: Modulation<Variable>, text: Modulation<Variable>) {
    let c = linear.modulation(conditioning, parts: 6)
    return (.init(shift: c[0], scale: c[1], gate: c[2]), .init(shift: c[3], scale: c[4], gate: c[5]))
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
