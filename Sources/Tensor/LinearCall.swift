import CKernels

/// The inputs of one call as the product kernels take them, and the results that they fill.
struct LinearCall {
  let outputs: [Tensor]
  private let operands: [Tensor]
  private let residuals, gates: [Tensor?]
  private let bias: Tensor?
  private let activation: Activation
  private let outputDType, residualDType: DType
  private let segments: [ck_gemm_segment]

  /// - Parameters:
  ///   - width: of the results
  ///   - bias: `[width]`, aligned, of a type that the kernels read
  init(
    _ inputs: [LinearInput], outputs width: Int, bias: Tensor?, activation: Activation, outputDType: DType,
    residualDType: DType
  ) {
    let operands = Tensor.commonLayout(inputs.map(\.x))
    let outputs = inputs.map { Tensor(uninitialized: $0.x.shape.dropLast() + [width], dtype: outputDType) }
    let residuals = zip(inputs, outputs).map { $0.residual?.rows(like: $1, dtype: residualDType) }
    let gates = zip(inputs, outputs).map { $0.gate?.rows(like: $1, dtype: .f32) }
    var segments: [ck_gemm_segment] = []
    for index in inputs.indices {
      Tensor.appendSegments(operands[index], outputs[index], gates[index], residuals[index], to: &segments)
    }
    (self.operands, self.outputs, self.residuals, self.gates) = (operands, outputs, residuals, gates)
    (self.bias, self.activation, self.segments) = (bias, activation, segments)
    (self.outputDType, self.residualDType) = (outputDType, residualDType)
  }

  /// One of the operands, as all are laid out.
  var operand: Tensor? { operands.first }

  /// Fills the results from the column `first` on.
  ///
  /// - Parameter product: with the weight of these columns, whose memory the caller keeps
  func run(_ product: ck_gemm_args, from first: Int = 0) {
    if segments.isEmpty { return }
    withExtendedLifetime(self) {
      var product = product
      product.c_type = outputDType.productType
      product.residual_type = residualDType.productType
      product.bias = bias.map { $0.rawPointer + first * $0.dtype.size }
      product.bias_type = bias?.dtype.productType ?? ck_gemm_f32
      product.activation = activation.code
      product.run(segments.map { advanced($0, by: first) })
    }
  }

  private func advanced(_ segment: ck_gemm_segment, by columns: Int) -> ck_gemm_segment {
    var segment = segment
    segment.c = segment.c.map { $0 + columns * outputDType.size }
    segment.gate = segment.gate.map { $0 + columns }
    segment.residual = segment.residual.map { $0 + columns * residualDType.size }
    return segment
  }
}

// MARK: - Operands

extension Tensor {
  /// Operands of one type and one distance between neighbours of the last axis.
  static func commonLayout(_ tensors: [Tensor]) -> [Tensor] {
    let readable = tensors.map { $0.forProduct() }
    let dtypes = Set(readable.map(\.dtype)), steps = Set(readable.map { $0.strides.last ?? 1 })
    let alike = dtypes.count == 1 ? readable : readable.map { $0.converted(to: .f32) }
    return steps.count == 1 && dtypes.count == 1 ? alike : alike.map { $0.contiguous() }
  }

  /// Broadcast to `output`'s shape, with the elements of a row side by side.
  func rows(like output: Tensor, dtype: DType) -> Tensor {
    guard Tensor.broadcastShape(shape, output.shape, "linear") == output.shape else {
      tensorFailure("linear: gate or residual \(shape) does not broadcast to the result \(output.shape)")
    }
    let typed = converted(to: dtype)
    let isRow = typed.rank > 0 && (typed.strides.last == 1 || output.shape.last == 1)
    let width = output.shape.last ?? 1
    // A row that is itself broadcast (extent 1) is written out; leading axes stay views.
    let wide =
      typed.shape.last == width && isRow
      ? typed : typed.broadcast(to: Array(typed.shape.dropLast()) + [width]).copied()
    let fits = UInt(bitPattern: wide.rawPointer) % UInt(dtype.size) == 0
    return (fits ? wide : wide.copied()).broadcast(to: output.shape)
  }

  /// Cuts the rows of one input where its stride or its gate changes.
  static func appendSegments(
    _ x: Tensor, _ output: Tensor, _ gate: Tensor?, _ residual: Tensor?, to segments: inout [ck_gemm_segment]
  ) {
    guard output.count > 0 else { return }
    let still = [Int](repeating: 0, count: output.rank)
    let runs = RowRuns(
      shape: Array(output.shape.dropLast()),
      strides: [x.strides, output.strides, residual?.strides ?? still, gate?.strides ?? still].map {
        Array($0.dropLast())
      },
      constant: 3)
    runs.forEach { at in
      segments.append(
        ck_gemm_segment(
          rows: runs.count, a: x.rawPointer + at[0] * x.dtype.size, a_row_stride: runs.steps[0],
          c: UnsafeMutableRawPointer(mutating: output.rawPointer + at[1] * output.dtype.size),
          c_row_stride: runs.steps[1],
          gate: gate.map { ($0.rawPointer + at[3] * 4).assumingMemoryBound(to: Float.self) },
          residual: residual.map { $0.rawPointer + at[2] * $0.dtype.size }, residual_row_stride: runs.steps[2]))
    }
  }
}
