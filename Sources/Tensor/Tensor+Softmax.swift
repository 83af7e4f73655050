import CKernels

extension Tensor {
  /// `e^x / Σ e^x` along one axis, shifted by the largest element so that nothing overflows. Narrow floats are
  /// computed in `f32`, integers give `f32`.
  public func softmax(_ axis: Int = -1) -> Tensor { softmax(axis, logarithm: false, "softmax") }

  /// The logarithm of `softmax`, computed without taking it of a rounded probability.
  public func logSoftmax(_ axis: Int = -1) -> Tensor { softmax(axis, logarithm: true, "logSoftmax") }

  private func softmax(_ axis: Int, logarithm: Bool, _ name: String) -> Tensor {
    if rank == 0 { return unsqueezed(0).softmax(-1, logarithm: logarithm, name).squeezed(0) }
    let axis = normalizedAxis(axis, name)
    if dtype == .f64 { return doubleSoftmax(axis, logarithm) }
    if axis != rank - 1 {
      return movedAxis(axis, to: -1).softmax(-1, logarithm: logarithm, name).movedAxis(-1, to: axis)
    }
    let x = withContiguousRows(), y = x.uninitializedInSameOrder(dtype.floatType)
    guard let axes = RowAxes([x, y]) else { return contiguous().softmax(axis, logarithm: logarithm, name) }
    var rows = ck_rows(axes, count: shape[axis], x, y)
    withExtendedLifetime((x, y)) { ck_softmax(Kernels.current.table, &rows, logarithm) }
    return y
  }

  /// In terms of other operations, which compute in `f64`.
  private func doubleSoftmax(_ axis: Int, _ logarithm: Bool) -> Tensor {
    if count == 0 { return self }
    let shifted = self - amax(axis, keepDims: true), powers = shifted.exp(), total = powers.sum(axis, keepDims: true)
    return logarithm ? shifted - total.log() : powers / total
  }
}
