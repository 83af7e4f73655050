import Tensor

// What blocks do between their layers.

extension Variable {
  public static func + (a: Variable, b: Variable) -> Variable {
    Variable(
      of: [a, b],
      vjp: { dy in
        [a, b].map { $0.needsGradient ? dy.summed(to: $0.value.shape) : nil }
      }
    ) { a.value + b.value }
  }

  /// Adds a constant.
  public static func + (a: Variable, b: Tensor) -> Variable {
    let shape = a.value.shape
    return Variable(of: a, vjp: { $0.summed(to: shape) }) { $0 + b }
  }

  public static func * (a: Variable, b: Variable) -> Variable {
    Variable(
      of: [a, b],
      vjp: { dy in
        [
          a.needsGradient ? (dy * b.value).summed(to: a.value.shape) : nil,
          b.needsGradient ? (dy * a.value).summed(to: b.value.shape) : nil,
        ]
      }
    ) { a.value * b.value }
  }

  public static func * (a: Variable, b: Float) -> Variable { Variable(of: a, vjp: { $0 * b }) { $0 * b } }

  /// `self + gate * branch`, the end of a gated branch.
  ///
  /// - Parameters:
  ///   - branch: `[batch, tokens, dim]`
  ///   - gate: `[batch, dim]`
  public func adding(_ branch: Variable, gatedBy gate: Variable) -> Variable {
    Variable(
      of: [self, branch, gate],
      vjp: { [self] dy in
        [
          needsGradient ? dy : nil, branch.needsGradient ? dy * gate.value.unsqueezed(1) : nil,
          gate.needsGradient ? (dy * branch.value).sum(1) : nil,
        ]
      }
    ) { [self] in value.adding(branch.value, gatedBy: gate.value.unsqueezed(1)) }
  }

  public func activated(by activation: Activation) -> Variable {
    Variable(of: self, vjp: { [self] in value.activatedVJP($0, by: activation) }) { $0.activated(by: activation) }
  }

  /// A change of places that another change of places undoes.
  public func moved(_ forth: @escaping (Tensor) -> Tensor, back: @escaping (Tensor) -> Tensor) -> Variable {
    Variable(of: self, vjp: back, computing: forth)
  }

  /// As the tensor's own: see there.
  ///
  /// - Parameter extents: of every axis that a pattern's products do not determine, in either direction
  public func rearranged(_ pattern: String, _ extents: [String: Int]) -> Variable {
    let back = pattern.split(separator: "->").reversed().joined(separator: "->")
    return moved({ $0.rearranged(pattern, extents) }, back: { $0.rearranged(back, extents) })
  }

  public func splitHeads(_ heads: Int) -> Variable { moved({ $0.splitHeads(heads) }, back: \.mergedHeads) }

  public func mergedHeads(_ heads: Int) -> Variable { moved(\.mergedHeads, back: { $0.splitHeads(heads) }) }

  /// Equal parts along the last axis.
  public func chunked(_ parts: Int) -> [Variable] {
    (0..<parts).map { part in
      Variable(
        of: self,
        vjp: { dy in
          let width = dy.shape[dy.rank - 1]
          return dy.padded(-1, before: part * width, after: (parts - 1 - part) * width)
        }
      ) { $0.chunked(parts)[part] }
    }
  }

  /// Attention of this variable's queries, `[batch, heads, tokens, headDim]`. The mask is a constant.
  ///
  /// - Parameters:
  ///   - keys: key and value of every stream
  ///   - scale: `1 / √headDim` unless given
  ///   - precision: of the products, on the way back too
  public func attended(
    to keys: [(key: Variable, value: Variable)], mask: Tensor? = nil, scale: Float? = nil,
    precision: AttentionPrecision = .f32
  ) -> Variable {
    final class Kept { var output: AttentionOutput? }
    let kept = Kept()
    func operands() -> [AttentionKeys] { keys.map { AttentionKeys($0.key.value, $0.value.value) } }
    func output() -> AttentionOutput {
      let output =
        kept.output
        ?? attentionWithLogSumExp(
          queries: [value], keys: operands(), mask: mask, scale: scale, precision: precision)[0]
      kept.output = output
      return output
    }
    return Variable(
      of: [self] + keys.flatMap { [$0.key, $0.value] },
      vjp: { [self] dy in
        let gradient = attentionVJP(
          query: value, keys: operands(), output: output(), gradient: dy, mask: mask, scale: scale,
          precision: precision)
        kept.output = nil
        return [gradient.query] + gradient.keys.flatMap { [$0.key, $0.value] }
      }
    ) { output().output }
  }
}

extension RotaryTable {
  /// - Parameter x: `[batch, heads, tokens, headDim]`
  public func rotate(_ x: Variable) -> Variable {
    // A rotation's transpose turns the other way.
    Variable(of: x, vjp: { RotaryTable(cos: cos, sin: -sin).rotate($0) }, computing: rotate)
  }
}
