import CKernels

/// Values of one unpacked panel of a quantised weight, 16 MiB.
private let panelValues = 1 << 22

extension Tensor {
  /// The gradient with respect to `x`, from that with respect to `linear(x, weight:)`: `gradient · weight`, in one pass over
  /// the weight where it lies, accumulated in `f32`.
  ///
  /// - Parameters:
  ///   - gradient: `[..., out]`, any strides
  ///   - weight: `[out, in]`, any strides
  /// - Returns: `[..., in]`
  public static func linearVJP(_ gradient: Tensor, weight: Tensor) -> Tensor {
    guard weight.rank == 2, gradient.rank >= 1, gradient.shape.last == weight.shape[0] else {
      tensorFailure("linearVJP: gradient \(gradient.shape) does not fit weight \(weight.shape) ([out, in])")
    }
    // A product's bits depend on its own row alone, whether it is one row or many: vectors go as matrices.
    return matmul(gradient.rank == 1 ? gradient.unsqueezed(0) : gradient, weight)
      .reshaped(gradient.shape.dropLast() + [weight.shape[1]])
  }

  /// The same with the dequantised values of a block-quantised weight, of which a panel of rows at a time is unpacked.
  ///
  /// - Parameter columns: the part of the weight's columns that the input met; nil for all
  /// - Returns: `[..., columns.count]`
  public static func linearVJP(
    _ gradient: Tensor, weight: QuantizedMatrix, columns: Range<Int>? = nil
  ) -> Tensor {
    let columns = columns ?? 0..<weight.columns
    guard weight.shape.count == 2, columns.lowerBound >= 0, columns.upperBound <= weight.columns,
      gradient.rank >= 1, gradient.shape.last == weight.rows
    else {
      tensorFailure(
        "linearVJP: gradient \(gradient.shape) does not fit columns \(columns) of a quantised weight \(weight.shape) "
          + "([out, in])")
    }
    let operand = gradient.forProduct(), result = Tensor(zeros: gradient.shape.dropLast() + [columns.count])
    var segments: [ck_gemm_segment] = []
    // Every panel adds to what the panels before it gave.
    appendSegments(operand, result, nil, result, to: &segments)
    let size = weight.format.blockSize
    let blocks = columns.lowerBound / size..<(columns.upperBound + size - 1) / size, width = blocks.count * size
    if segments.isEmpty || width == 0 { return result }
    let count = min(weight.rows, max(1, panelValues / width))
    var scratch = Tensor(uninitialized: [count, width])
    let target = scratch.freshPointer(as: Float.self)
    withExtendedLifetime((operand, result, scratch)) {
      for first in stride(from: 0, to: weight.rows, by: max(1, count)) {
        let rows = first..<min(weight.rows, first + count)
        weight.dequantize(rows: rows, blocks: blocks, into: target)
        let panel = scratch.narrow(0, from: 0, count: rows.count)
          .narrow(1, from: columns.lowerBound - blocks.lowerBound * size, count: columns.count)
        var product = ck_gemm_args(weight: panel.transposed(), operand: operand)
        (product.c_type, product.residual_type) = (ck_gemm_f32, ck_gemm_f32)
        let offset = first * operand.strides[operand.rank - 1] * operand.dtype.size
        product.run(
          segments.map { segment in
            var segment = segment
            segment.a = segment.a.map { $0 + offset }
            return segment
          })
      }
    }
    return result
  }
}
