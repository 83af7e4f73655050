import CKernels

// Products with block-quantised weights. The kernels read the common formats where they lie; of the others a panel of rows
// is unpacked, used and overwritten by the next, so that the memory needed does not grow with the matrix.

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
    let call = LinearCall(
      inputs, outputs: weight.rows, bias: bias?.converted(to: .f32).aligned(), activation: activation,
      outputDType: .f32, residualDType: .f32)
    let isDirect = weight.withProduct(columns, operand: call.operand) { call.run($0) }
    if !isDirect {
      forEachPanel(of: weight, columns) { panel, first in
        call.run(ck_gemm_args(weight: panel, operand: call.operand), from: first)
      }
    }
    return call.outputs
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

extension QuantizedMatrix {
  /// Calls `body` with a product that reads the blocks where they lie.
  ///
  /// - Returns: whether the kernels know the format and the columns begin with a block
  fileprivate func withProduct(_ columns: Range<Int>, operand: Tensor?, _ body: (ck_gemm_args) -> Void) -> Bool {
    guard let type = format.productType, columns.lowerBound % format.blockSize == 0 else { return false }
    withBlocks(rows: 0..<rows) { bytes in
      var product = ck_gemm_args()
      (product.columns, product.depth, product.alpha) = (rows, columns.count, 1)
      product.a_type = operand?.dtype.productType ?? ck_gemm_f32
      product.a_column_stride = operand?.strides.last ?? 1
      product.b = bytes.baseAddress.map { $0 + columns.lowerBound / format.blockSize * format.blockBytes }
      product.b_type = type
      (product.b_row_stride, product.b_column_stride) = (1, rowBytes)
      product.may_quantize = ComputePrecision.current.formsIntegers(with: format)
      body(product)
    }
    return true
  }
}

extension QuantizedMatrix.Format {
  /// This format as the product kernels name it; nil for one they do not read.
  fileprivate var productType: ck_gemm_type? {
    switch self {
    case .q8_0: ck_gemm_q8_0
    case .q4_0: ck_gemm_q4_0
    case .q4_K: ck_gemm_q4_k
    case .q5_K: ck_gemm_q5_k
    case .q6_K: ck_gemm_q6_k
    case .q4_1, .q5_0, .q5_1, .q2_K, .q3_K: nil
    }
  }
}
