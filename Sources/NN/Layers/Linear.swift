import Tensor

/// A matrix product with an optional bias: `y = x Wᵀ + b`.
///
/// Source: `torch.nn.Linear`.
public struct Linear: Sendable {
  /// `[outputs, inputs]`, used where it lies in the checkpoint.
  public var weight: Parameter
  /// `[outputs]`
  public var bias: Tensor?

  public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, _ w: Weights) {
    weight = w.matrix("weight", outputs, inputs)
    self.bias = bias ? w.tensor("bias", outputs) : nil
  }

  public init(weight: Tensor, bias: Tensor? = nil) {
    self.weight = .dense(weight)
    self.bias = bias
  }

  /// - Parameter x: `[..., inputs]`
  /// - Returns: `[..., outputs]`
  public func callAsFunction(_ x: Tensor, activation: Activation = .identity) -> Tensor {
    self([x], activation: activation)[0]
  }

  /// Several inputs in one pass over the weight. A row's result does not depend on what else is in the list.
  public func callAsFunction(_ xs: [Tensor], activation: Activation = .identity) -> [Tensor] {
    Tensor.linear(xs.map { LinearInput($0) }, weight: weight.tensor, bias: bias, activation: activation)
  }

  /// `residual + gate * (x Wᵀ + b)`, the end of a gated branch, in one pass.
  ///
  /// - Parameters:
  ///   - gates: per input, `[batch, outputs]`, shared by the tokens of a batch entry
  ///   - residuals: per input, the shape of the result
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor]) -> [Tensor] {
    Tensor.linear(gated(xs, gates, residuals), weight: weight.tensor, bias: bias)
  }

  /// `residual + gate * (concatenated parts · Wᵀ + b)`, without concatenating: the columns of the weight are taken part
  /// by part.
  ///
  /// - Parameter parts: each a list of inputs, `[batch, tokens, part]`; the widths of the parts add up to the inputs
  public func callAsFunction(parts: [[Tensor]], gates: [Tensor], residuals: [Tensor]) -> [Tensor] {
    let weight = weight.tensor
    var column = 0
    var results = residuals
    for (index, part) in parts.enumerated() {
      let width = part.first?.shape.last ?? 0
      let columns = weight.narrow(1, from: column, count: width)
      results = Tensor.linear(gated(part, gates, results), weight: columns, bias: index == 0 ? bias : nil)
      column += width
    }
    return results
  }

  private func gated(_ xs: [Tensor], _ gates: [Tensor], _ residuals: [Tensor]) -> [LinearInput] {
    xs.indices.map { LinearInput(xs[$0], gate: gates[$0].expanded(axis: 1), residual: residuals[$0]) }
  }

  /// How attention over this layer's output multiplies: as narrow as the weights are.
  public var attentionPrecision: AttentionPrecision {
    if case .dense(let tensor) = weight, tensor.dtype == .bf16 { .bf16 } else { .f32 }
  }
}
