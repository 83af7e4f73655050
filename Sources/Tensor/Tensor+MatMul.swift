import CKernels
import COpenBLAS

extension Tensor {
  /// The matrix product over the last two axes, broadcasting those before, as `torch.matmul`: vectors are rows on the
  /// left and columns on the right, and lose that axis in the result.
  ///
  /// Any strides. `f32`, `bf16` and `f16` mix freely and give `f32`; `f64` on either side gives `f64`; integers give
  /// `i64`, wrapping around on overflow.
  ///
  /// - Parameters:
  ///   - a: `[..., rows, depth]` or `[depth]`
  ///   - b: `[..., depth, columns]` or `[depth]`
  /// - Returns: `[..., rows, columns]`
  public static func matmul(_ a: Tensor, _ b: Tensor) -> Tensor {
    guard a.rank >= 1, b.rank >= 1 else { mismatch(a, b) }
    let left = a.rank == 1 ? a.unsqueezed(0) : a, right = b.rank == 1 ? b.unsqueezed(1) : b
    guard left.shape[left.rank - 1] == right.shape[right.rank - 2] else { mismatch(a, b) }
    let batch = broadcastShape(Array(left.shape.dropLast(2)), Array(right.shape.dropLast(2)), "matmul")
    var product = MatrixProduct(left, right, batch: batch).result
    if b.rank == 1 { product = product.squeezed(-1) }
    if a.rank == 1 { product = product.squeezed(b.rank == 1 ? -1 : -2) }
    return product
  }

  private static func mismatch(_ a: Tensor, _ b: Tensor) -> Never {
    tensorFailure("matmul: shapes \(a.shape) and \(b.shape) do not chain ([..., m, k] and [..., k, n])")
  }
}

/// `[batch..., m, k] · [batch..., k, n]`, by the kind of number.
private struct MatrixProduct {
  let a, b: Tensor  // broadcast over `batch`
  let rows, columns, depth: Int
  let shape: [Int]

  init(_ a: Tensor, _ b: Tensor, batch: [Int]) {
    rows = a.shape[a.rank - 2]
    depth = a.shape[a.rank - 1]
    columns = b.shape[b.rank - 1]
    self.a = a.broadcast(to: batch + [rows, depth])
    self.b = b.broadcast(to: batch + [depth, columns])
    shape = batch + [rows, columns]
  }

  var result: Tensor {
    if a.dtype == .f64 || b.dtype == .f64 { return doubles() }
    if !a.dtype.isFloatingPoint && !b.dtype.isFloatingPoint { return integers() }
    return floats()
  }

  private func floats() -> Tensor {
    let a = unbroadcast(self.a) { $0.forProduct() }, b = unbroadcast(self.b) { $0.forProduct() }
    let result = Tensor(uninitialized: shape)
    guard result.count > 0 else { return result }
    withExtendedLifetime((a, b, result)) {
      // One right side for the whole batch is one product of many rows.
      if b.strides.dropLast(2).allSatisfy({ $0 == 0 }) || result.rank == 2 {
        sharedRight(a, b, result)
      } else {
        batched(a, b, result)
      }
    }
    return result
  }

  private func sharedRight(_ a: Tensor, _ b: Tensor, _ result: Tensor) {
    let runs = RowRuns(
      shape: Array(a.shape.dropLast()), strides: [Array(a.strides.dropLast()), Array(result.strides.dropLast())])
    var segments: [ck_gemm_segment] = []
    runs.forEach { at in
      var segment = ck_gemm_segment()
      segment.rows = runs.count
      segment.a = a.rawPointer + at[0] * a.dtype.size
      segment.a_row_stride = runs.steps[0]
      segment.c = UnsafeMutableRawPointer(mutating: result.rawPointer + at[1] * 4)
      segment.c_row_stride = runs.steps[1]
      segments.append(segment)
    }
    let matrix = b.view(shape: [depth, columns], strides: Array(b.strides.suffix(2)))
    ck_gemm_args(weight: matrix.transposed(), operand: a).run(segments)
  }

  private func batched(_ a: Tensor, _ b: Tensor, _ result: Tensor) {
    var left: [UnsafeRawPointer?] = [], right: [UnsafeRawPointer?] = [], target: [UnsafeMutableRawPointer?] = []
    forEachMatrix(a, b, result) { at in
      left.append(a.rawPointer + at[0] * a.dtype.size)
      right.append(b.rawPointer + at[1] * b.dtype.size)
      target.append(UnsafeMutableRawPointer(mutating: result.rawPointer + at[2] * 4))
    }
    var batch = ck_gemm_batch()
    batch.count = left.count
    (batch.rows, batch.columns, batch.depth) = (rows, columns, depth)
    (batch.a_type, batch.b_type, batch.c_type) = (a.dtype.productType, b.dtype.productType, ck_gemm_f32)
    (batch.a_row_stride, batch.a_column_stride) = (a.strides[a.rank - 2], a.strides[a.rank - 1])
    (batch.b_row_stride, batch.b_column_stride) = (b.strides[b.rank - 2], b.strides[b.rank - 1])
    batch.c_row_stride = columns
    batch.alpha = 1
    batch.may_round = ComputePrecision.current != .float
    left.withUnsafeBufferPointer { left in
      right.withUnsafeBufferPointer { right in
        target.withUnsafeBufferPointer { target in
          (batch.a, batch.b, batch.c) = (left.baseAddress, right.baseAddress, target.baseAddress)
          guard ck_gemm_batched(Kernels.current.table, &batch) else {
            tensorFailure("matmul: no memory for packed panels")
          }
        }
      }
    }
  }

  private func doubles() -> Tensor {
    let a = unbroadcast(self.a) { $0.converted(to: .f64).aligned() }
    let b = unbroadcast(self.b) { $0.converted(to: .f64).aligned() }
    var result = Tensor(zeros: shape, dtype: .f64)
    guard result.count > 0, depth > 0 else { return result }
    let target = result.freshPointer(as: Double.self)
    BLAS.prepare()
    withExtendedLifetime((a, b)) {
      forEachMatrix(a, b, result) { at in
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(columns), blasint(depth), 1,
          a.rawPointer.assumingMemoryBound(to: Double.self) + at[0], blasint(depth),
          b.rawPointer.assumingMemoryBound(to: Double.self) + at[1], blasint(columns), 0, target + at[2],
          blasint(columns))
      }
    }
    return result
  }

  private func integers() -> Tensor {
    let a = unbroadcast(self.a) { $0.converted(to: .i64).aligned() }
    let b = unbroadcast(self.b) { $0.converted(to: .i64).aligned() }
    var result = Tensor(zeros: shape, dtype: .i64)
    guard result.count > 0 else { return result }
    let target = result.freshPointer(as: Int64.self)
    withExtendedLifetime((a, b)) {
      let left = a.rawPointer.assumingMemoryBound(to: Int64.self)
      let right = b.rawPointer.assumingMemoryBound(to: Int64.self)
      forEachMatrix(a, b, result) { at in
        for row in 0..<rows {
          let out = target + at[2] + row * columns
          for k in 0..<depth {
            let factor = left[at[0] + row * depth + k], line = right + at[1] + k * columns
            for column in 0..<columns { out[column] &+= factor &* line[column] }
          }
        }
      }
    }
    return result
  }

  /// Applies `convert` to the distinct matrices only, then broadcasts again.
  private func unbroadcast(_ x: Tensor, _ convert: (Tensor) -> Tensor) -> Tensor {
    var distinct = x
    for axis in 0..<(x.rank - 2) where x.strides[axis] == 0 && x.shape[axis] > 1 {
      distinct = distinct.narrow(axis, from: 0, count: 1)
    }
    return convert(distinct).broadcast(to: x.shape)
  }

  private func forEachMatrix(_ a: Tensor, _ b: Tensor, _ c: Tensor, _ body: ([Int]) -> Void) {
    let axes = shape.count - 2
    // The result moves from matrix to matrix, so every matrix is a run of its own.
    let runs = RowRuns(
      shape: Array(shape.prefix(axes)) + [1],
      strides: [a, b, c].map { Array($0.strides.prefix(axes)) + [0] }, constant: 2)
    runs.forEach(body)
  }
}
