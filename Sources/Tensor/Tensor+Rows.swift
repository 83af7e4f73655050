// The bridge to the kernels that work on whole rows (the last axis): where each row lies, and how leading axes merge.
import CKernels

extension Tensor {
  /// Memory for a result of this shape whose rows lie in the order of this tensor's: a transposed view of
  /// `[batch, tokens, heads, headDim]` gives a transposed result, and both are walked in memory order.
  func uninitializedInSameOrder(_ dtype: DType) -> Tensor {
    let order = shape.indices.dropLast().sorted { strides[$0] > strides[$1] } + shape.indices.suffix(1)
    let fresh = Tensor(uninitialized: order.map { shape[$0] }, dtype: dtype)
    var back = Array(shape.indices)
    for (place, axis) in order.enumerated() { back[axis] = place }
    return fresh.permuted(back)
  }

  /// This tensor if its rows are contiguous and aligned, else a copy that is.
  func withContiguousRows() -> Tensor {
    let usable = shape.last == 1 || strides.last == 1
    return usable && isAddressAligned ? self : copied()
  }
}

/// Leading axes of several tensors of one shape (broadcast axes allowed), merged into three.
struct RowAxes {
  var sizes: [Int]
  var strides: [[Int]]  // [tensor][axis]

  init(sizes: [Int], strides: [[Int]]) { (self.sizes, self.strides) = (sizes, strides) }

  /// nil when more than three axes are left.
  init?(_ tensors: [Tensor]) {
    var sizes: [Int] = [], strides = [[Int]](repeating: [], count: tensors.count)
    for axis in tensors[0].shape.indices.dropLast() where tensors[0].shape[axis] != 1 {
      let extent = tensors[0].shape[axis]
      let merges =
        !sizes.isEmpty
        && tensors.indices.allSatisfy {
          strides[$0][sizes.count - 1] == tensors[$0].strides[axis] * extent
        }
      if merges { sizes[sizes.count - 1] *= extent } else { sizes.append(extent) }
      for index in tensors.indices {
        if merges { strides[index].removeLast() }
        strides[index].append(tensors[index].strides[axis])
      }
    }
    guard sizes.count <= 3 else { return nil }
    let missing = 3 - sizes.count
    self.sizes = [Int](repeating: 1, count: missing) + sizes
    self.strides = strides.map { [Int](repeating: 0, count: missing) + $0 }
  }
}

extension ck_rows {
  /// Rows of `x` read, rows of `y` written.
  init(_ axes: RowAxes, count: Int, _ x: Tensor, _ y: Tensor) {
    self.init()
    sizes = (axes.sizes[0], axes.sizes[1], axes.sizes[2])
    n = count
    self.x = x.rawPointer
    x_type = x.dtype.kernelType
    x_strides = (axes.strides[0][0], axes.strides[0][1], axes.strides[0][2])
    self.y = UnsafeMutableRawPointer(mutating: y.rawPointer)
    y_type = y.dtype.kernelType
    y_strides = (axes.strides[1][0], axes.strides[1][1], axes.strides[1][2])
  }
}
