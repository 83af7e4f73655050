import Tensor

// What adaptive norms tell the branches of a block: tensors on the way forth, variables on the way back.

/// Shift, scale and gate of one branch, each `[batch, dim]`.
public struct Modulation<Vector> {
  public var shift, scale, gate: Vector

  public init(shift: Vector, scale: Vector, gate: Vector) {
    self.shift = shift
    self.scale = scale
    self.gate = gate
  }
}

/// Those of all branches of a block.
public struct BranchModulations<Vector> {
  public var attention, mlp: Modulation<Vector>
  /// Of a second, image-only attention, where there is one.
  public var dual: Modulation<Vector>?

  public init(attention: Modulation<Vector>, mlp: Modulation<Vector>, dual: Modulation<Vector>? = nil) {
    self.attention = attention
    self.mlp = mlp
    self.dual = dual
  }

  /// - Parameter parts: shift, scale and gate of the attention, of the MLP and perhaps of the second attention
  init(_ parts: [Vector]) {
    func branch(_ first: Int) -> Modulation<Vector> {
      Modulation(shift: parts[first], scale: parts[first + 1], gate: parts[first + 2])
    }
    self.init(attention: branch(0), mlp: branch(3), dual: parts.count > 6 ? branch(6) : nil)
  }
}

extension Modulation: Sendable where Vector: Sendable {}
extension BranchModulations: Sendable where Vector: Sendable {}

/// A branch that is modulated.
public enum ModulatedBranch: Sendable {
  case attention, mlp, dual

  fileprivate var points: (shift: Site.Point, scale: Site.Point, gate: Site.Point) {
    switch self {
    case .attention: (.attentionShift, .attentionScale, .attentionGate)
    case .mlp: (.mlpShift, .mlpScale, .mlpGate)
    case .dual: (.dualShift, .dualScale, .dualGate)
    }
  }
}

extension Modulation {
  fileprivate func visited(_ branch: ModulatedBranch, _ tap: (Site.Point, Vector) -> Vector) -> Self {
    let points = branch.points
    return Self(shift: tap(points.shift, shift), scale: tap(points.scale, scale), gate: tap(points.gate, gate))
  }
}

extension BranchModulations {
  fileprivate func visited(_ tap: (Site.Point, Vector) -> Vector) -> Self {
    Self(
      attention: attention.visited(.attention, tap), mlp: mlp.visited(.mlp, tap), dual: dual?.visited(.dual, tap))
  }
}

extension Modulation<Tensor> {
  /// As the processors leave it.
  public func visited(as branch: ModulatedBranch, by tap: Tap) -> Self { visited(branch) { tap($0, $1) } }
}

extension Modulation<Variable> {
  /// As the processors left it.
  public func visited(as branch: ModulatedBranch, by tap: TracedTap) -> Self { visited(branch) { tap($0, $1) } }
}

extension BranchModulations<Tensor> {
  /// As the processors leave it.
  public func visited(by tap: Tap) -> Self { visited { tap($0, $1) } }
}

extension BranchModulations<Variable> {
  /// As the processors left it.
  public func visited(by tap: TracedTap) -> Self { visited { tap($0, $1) } }
}

extension LayerNorm {
  /// The normalised tokens, scaled and shifted.
  ///
  /// - Parameter x: `[batch, tokens, dim]`
  public func callAsFunction(_ x: Tensor, _ modulation: Modulation<Tensor>) -> Tensor {
    self(x, scale: modulation.scale, shift: modulation.shift)
  }

  public func callAsFunction(_ x: Variable, _ modulation: Modulation<Variable>) -> Variable {
    self(x, scale: modulation.scale, shift: modulation.shift)
  }
}
