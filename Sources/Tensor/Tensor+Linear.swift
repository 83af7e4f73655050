import CKernels

/// One of several activations that pass through the same weights in one call: `Tensor.linear(_:weight:bias:)`.
public struct LinearInput: Sendable {
  /// `[..., in]`
  public var x: Tensor
  /// Multiplies the result; broadcasts to `[..., out]`. Nil for 1.
  public var gate: Tensor?
  /// Added at the end; broadcasts to `[..., out]`. Nil for 0.
  public var residual: Tensor?

  public init(_ x: Tensor, gate: Tensor? = nil, residual: Tensor? = nil) {
    self.x = x
    self.gate = gate
    self.residual = residual
  }
}

extension Tensor {
  /// `residual + gate * activation(x · weightᵀ + bias)`, in one pass over the weights, accumulated in `f32`.
  ///
  /// A row's result depends on that row alone: it has the same bits whatever the other rows, their number and the
  /// number of threads. Weights are read where they lie, also unaligned in a mapped file.
  ///
  /// - Parameters:
  ///   - x: `[..., in]`, any strides
  ///   - weight: `[out, in]`, any strides; `f32`, `bf16` or `f16` in place, other types converted first
  ///   - bias: `[out]`
  ///   - gate: broadcasts to `[..., out]`; `[batch, 1, out]` for a gate per batch entry
  ///   - residual: broadcasts to `[..., out]`
  ///   - outputDType: what the `f32` results are rounded to
  /// - Returns: `[..., out]`
  public static func linear(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, activation: Activation = .identity, gate: Tensor? = nil,
    residual: Tensor? = nil, outputDType: DType = .f32
  ) -> Tensor {
    linear(
      [LinearInput(x, gate: gate, residual: residual)], weight: weight, bias: bias, activation: activation,
      outputDType: outputDType)[0]
  }

  /// Several activations through the same weights, each with its own gate and residual: the weights are read once, and
  /// nothing is concatenated. Every result has the bits that a call of its own would give.
  public static func linear(
    _ inputs: [LinearInput], weight: Tensor, bias: Tensor? = nil, activation: Activation = .identity,
    outputDType: DType = .f32
  ) -> [Tensor] {
    for input in inputs { requireLinear(input, weight, bias) }
    if outputDType != .f32, outputDType != .bf16 {
      return linear(inputs, weight: weight, bias: bias, activation: activation).map { $0.converted(to: outputDType) }
    }
    let weight = weight.forProduct()
    let bias = bias.map { $0.forProduct().aligned() }
    let call = LinearCall(
      inputs, outputs: weight.shape[0], bias: bias, activation: activation, outputDType: outputDType,
      residualDType: inputs.allSatisfy { $0.residual.map { $0.dtype == .bf16 } ?? true } ? .bf16 : .f32)
    withExtendedLifetime(weight) { call.run(ck_gemm_args(weight: weight, operand: call.operand)) }
    return call.outputs
  }

  private static func requireLinear(_ input: LinearInput, _ weight: Tensor, _ bias: Tensor?) {
    guard weight.rank == 2, input.x.rank >= 1, input.x.shape.last == weight.shape[1] else {
      tensorFailure("linear: input \(input.x.shape) does not fit weight \(weight.shape) ([out, in])")
    }
    if let bias, bias.shape != [weight.shape[0]] {
      tensorFailure("linear: bias \(bias.shape) does not fit weight \(weight.shape) ([out, in])")
    }
  }
}

// MARK: - Operands of the product kernels

extension DType {
  /// This type as the product kernels name it.
  var productType: ck_gemm_type {
    switch self {
    case .f32: ck_gemm_f32
    case .bf16: ck_gemm_bf16
    case .f16: ck_gemm_f16
    default: tensorFailure("product: the kernels do not read \(self)")
    }
  }
}

extension Tensor {
  /// This tensor if the product kernels read its type, else as `f32`.
  func forProduct() -> Tensor {
    switch dtype {
    case .f32, .bf16, .f16: self
    default: converted(to: .f32)
    }
  }
}

extension ck_gemm_args {
  /// A product with `weight` [out, in] as its right side and rows laid out as `operand`'s.
  init(weight: Tensor, operand: Tensor?) {
    self.init()
    columns = weight.shape[0]
    depth = weight.shape[1]
    a_type = operand?.dtype.productType ?? ck_gemm_f32
    a_column_stride = operand?.strides.last ?? 1
    b = weight.rawPointer
    b_type = weight.dtype.productType
    b_row_stride = weight.strides[1]
    b_column_stride = weight.strides[0]
    alpha = 1
  }

  /// Runs the product with the current instruction set.
  func run(_ rows: [ck_gemm_segment]) {
    rows.withUnsafeBufferPointer { buffer in
      var product = self
      product.may_round = ComputePrecision.current != .float
      product.reading = Kernels.current.reading
      product.segments = buffer.baseAddress
      product.segment_count = buffer.count
      guard ck_gemm(Kernels.current.table, &product) else { tensorFailure("product: no memory for packed panels") }
    }
  }
}
