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

  public init(weight: Parameter, bias: Tensor? = nil) {
    self.weight = weight
    self.bias = bias
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
    product(xs.map { LinearInput($0) }, bias: bias, activation: activation)
  }

  /// `residual + gate * (x Wᵀ + b)`, the end of a gated branch, in one pass.
  ///
  /// - Parameters:
  ///   - gates: per input, `[batch, outputs]`, shared by the tokens of a batch entry
  ///   - residuals: per input, the shape of the result
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor]) -> [Tensor] {
    product(gatedInputs(xs, gates, residuals), bias: bias)
  }

  /// `residual + gate * (concatenated parts · Wᵀ + b)`, without concatenating: the columns of the weight are taken part
  /// by part.
  ///
  /// - Parameter parts: each a list of inputs, `[batch, tokens, part]`; the widths of the parts add up to the inputs
  public func callAsFunction(parts: [[Tensor]], gates: [Tensor], residuals: [Tensor]) -> [Tensor] {
    var column = 0
    var results = residuals
    for (index, part) in parts.enumerated() {
      let width = part.first?.shape.last ?? 0
      results = product(
        gatedInputs(part, gates, results), columns: column..<column + width, bias: index == 0 ? bias : nil)
      column += width
    }
    return results
  }

  /// What every part of the input gives of the product, without the bias: inputs side by side that are multiplied by their
  /// own columns alone.
  ///
  /// - Parameter parts: `[..., part]`, whose widths add up to the inputs, or to the first of them
  /// - Returns: one for each part, `[..., outputs]`
  public func shares(_ parts: [Tensor]) -> [Tensor] {
    var column = 0
    return parts.map { part in
      let width = part.shape.last ?? 0
      defer { column += width }
      return product([LinearInput(part)], columns: column..<column + width, bias: nil)[0]
    }
  }

  /// The product with some columns of the weight. A quantised weight is never unpacked as a whole.
  func product(
    _ inputs: [LinearInput], columns: Range<Int>? = nil, bias: Tensor?, activation: Activation = .identity
  ) -> [Tensor] {
    switch weight {
    case .dense(let tensor):
      let part = columns.map { tensor.narrow(1, from: $0.lowerBound, count: $0.count) } ?? tensor
      return Tensor.linear(inputs, weight: part, bias: bias, activation: activation)
    case .quantized(let matrix):
      return Tensor.linear(inputs, weight: matrix, columns: columns, bias: bias, activation: activation)
    }
  }

  private func gatedInputs(_ xs: [Tensor], _ gates: [Tensor], _ residuals: [Tensor]) -> [LinearInput] {
    xs.indices.map { LinearInput(xs[$0], gate: gates[$0].unsqueezed(1), residual: residuals[$0]) }
  }

  /// How attention over this layer's output multiplies: as narrow as the weights are.
  public var attentionPrecision: AttentionPrecision {
    if case .dense(let tensor) = weight, tensor.dtype == .bf16 { .bf16 } else { .f32 }
  }
}
