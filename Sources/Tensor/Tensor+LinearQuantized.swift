import CKernels

// Products with block-quantised weights: a panel of rows is unpacked, used and overwritten by the next, so that the
// memory needed does not grow with the matrix.

/// Values of one unpacked panel, 16 MiB: large enough that packing the activations again for each panel does not show.
private let panelValues = 1 << 22
/// Panels are cut at multiples of this many rows, a multiple of every kernel's tile width.
private let panelStep = 64

extension Tensor {
  /// `residual + gate * activation(x · weightᵀ + bias)`, as with the weight's dequantised values.
  ///
  /// - Parameters:
  ///   - weight: `[out, in]`
  ///   - columns: the part of the weight's columns that the inputs meet; nil for all
  ///   - bias: `[out]`
  /// - Returns: per input, `[..., out]`
  public static func linear(
    _ inputs: [LinearInput], weight: QuantizedMatrix, columns: Range<Int>? = nil, bias: Tensor? = nil,
    activation: Activation = .identity
  ) -> [Tensor] {
    let columns = columns ?? 0..<weight.columns
    for input in inputs { requireLinear(input, weight, columns, bias) }
    let operands = commonLayout(inputs.map(\.x))
    let outputs = inputs.map { Tensor(uninitialized: $0.x.shape.dropLast() + [weight.rows]) }
    let residuals = zip(inputs, outputs).map { $0.residual?.rows(like: $1, dtype: .f32) }
    let gates = zip(inputs, outputs).map { $0.gate?.rows(like: $1, dtype: .f32) }
    let bias = bias?.converted(to: .f32).aligned()
    var segments: [ck_gemm_segment] = []
    for index in inputs.indices {
      appendSegments(operands[index], outputs[index], gates[index], residuals[index], to: &segments)
    }
    if segments.isEmpty { return outputs }
    withExtendedLifetime((operands, outputs, gates, residuals, bias)) {
      forEachPanel(of: weight, columns) { panel, first in
        var product = ck_gemm_args(weight: panel, operand: operands.first)
        product.c_type = ck_gemm_f32
        product.residual_type = ck_gemm_f32
        product.bias = bias.map { $0.rawPointer + first * MemoryLayout<Float>.size }
        product.bias_type = ck_gemm_f32
        product.activation = activation.code
        product.run(segments.map { $0.advanced(columns: first) })
      }
    }
    return outputs
  }

  /// Unpacks some rows at a time and calls `body` with them, `[rows, columns.count]`, and the index of the first.
  private static func forEachPanel(
    of weight: QuantizedMatrix, _ columns: Range<Int>, _ body: (Tensor, Int) -> Void
  ) {
    let size = weight.format.blockSize
    let blocks = columns.lowerBound / size..<(columns.upperBound + size - 1) / size
    let width = blocks.count * size
    let fitting = panelValues / max(1, width) / panelStep * panelStep
    let count = min(weight.rows, max(panelStep, fitting))
    var scratch = Tensor(uninitialized: [count, width])
    let target = scratch.freshPointer(as: Float.self)
    for first in stride(from: 0, to: weight.rows, by: max(1, count)) {
      let rows = first..<min(weight.rows, first + count)
      weight.dequantize(rows: rows, blocks: blocks, into: target)
      let panel = scratch.narrow(0, from: 0, count: rows.count)
      body(panel.narrow(1, from: columns.lowerBound - blocks.lowerBound * size, count: columns.count), first)
    }
  }

  private static func requireLinear(
    _ input: LinearInput, _ weight: QuantizedMatrix, _ columns: Range<Int>, _ bias: Tensor?
  ) {
    guard weight.shape.count == 2, columns.lowerBound >= 0, columns.upperBound <= weight.columns else {
      tensorFailure("linear: columns \(columns) of a quantised weight \(weight.shape) ([out, in])")
    }
    guard input.x.rank >= 1, input.x.shape.last == columns.count else {
      tensorFailure(
        "linear: input \(input.x.shape) does not fit columns \(columns) of weight \(weight.shape) ([out, in])")
    }
    if let bias, bias.shape != [weight.rows] {
      tensorFailure("linear: bias \(bias.shape) does not fit weight \(weight.shape) ([out, in])")
    }
  }
}

extension ck_gemm_segment {
  /// The same rows from the column `columns` on; results, gates and residuals are `f32`.
  fileprivate func advanced(columns: Int) -> ck_gemm_segment {
    let bytes = columns * MemoryLayout<Float>.size
    var segment = self
    segment.c = c.map { $0 + bytes }
    segment.gate = gate.map { $0 + columns }
    segment.residual = residual.map { $0 + bytes }
    return segment
  }
}
