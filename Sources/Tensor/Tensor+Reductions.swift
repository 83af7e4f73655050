// Reductions over any axes. Sums of floats are kept in `f64` and rounded once; results do not depend on the number of
// threads. No axes given means all of them.
import CKernels

extension Tensor {
  /// Sum; of integers and `bool` as `i64`, which wraps around.
  public func sum(_ axes: Int..., keepDims: Bool = false) -> Tensor { sum(axes, keepDims: keepDims) }
  public func sum(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_sum, axes, keepDims, as: dtype.isFloatingPoint ? dtype : .i64, "sum")
  }

  /// Mean; of integers and `bool` in `f32`.
  public func mean(_ axes: Int..., keepDims: Bool = false) -> Tensor { mean(axes, keepDims: keepDims) }
  public func mean(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_mean, axes, keepDims, as: dtype.floatType, "mean")
  }

  /// Variance: the sum of squared deviations over count - 1 (`unbiased`, as in PyTorch) or over count.
  public func variance(_ axes: Int..., unbiased: Bool = true, keepDims: Bool = false) -> Tensor {
    variance(axes, unbiased: unbiased, keepDims: keepDims)
  }
  public func variance(_ axes: [Int], unbiased: Bool = true, keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_variance, axes, keepDims, as: dtype.floatType, correction: unbiased ? 1 : 0, "variance")
  }

  /// Square root of the variance.
  public func standardDeviation(_ axes: Int..., unbiased: Bool = true, keepDims: Bool = false) -> Tensor {
    standardDeviation(axes, unbiased: unbiased, keepDims: keepDims)
  }
  public func standardDeviation(_ axes: [Int], unbiased: Bool = true, keepDims: Bool = false) -> Tensor {
    let wide = dtype == .f64 ? DType.f64 : .f32
    let variance = reduced(
      ck_reduce_variance, axes, keepDims, as: wide, correction: unbiased ? 1 : 0, "standardDeviation")
    return variance.squareRoot().converted(to: dtype.floatType)
  }

  /// Product; of integers and `bool` as `i64`, which wraps around.
  public func product(_ axes: Int..., keepDims: Bool = false) -> Tensor { product(axes, keepDims: keepDims) }
  public func product(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_product, axes, keepDims, as: dtype.isFloatingPoint ? dtype : .i64, "product")
  }

  /// The smallest element; NaN if there is one.
  public func amin(_ axes: Int..., keepDims: Bool = false) -> Tensor { amin(axes, keepDims: keepDims) }
  public func amin(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_min, axes, keepDims, as: dtype, needsElements: true, "amin")
  }

  /// The largest element; NaN if there is one.
  public func amax(_ axes: Int..., keepDims: Bool = false) -> Tensor { amax(axes, keepDims: keepDims) }
  public func amax(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_max, axes, keepDims, as: dtype, needsElements: true, "amax")
  }

  /// Whether any element differs from zero, as `bool`.
  public func any(_ axes: Int..., keepDims: Bool = false) -> Tensor { any(axes, keepDims: keepDims) }
  public func any(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_any, axes, keepDims, as: .bool, "any")
  }

  /// Whether all elements differ from zero, as `bool`.
  public func all(_ axes: Int..., keepDims: Bool = false) -> Tensor { all(axes, keepDims: keepDims) }
  public func all(_ axes: [Int], keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_all, axes, keepDims, as: .bool, "all")
  }

  /// Position of the largest element along one axis, or in row-major order of all, as `i64`: the first of equals; a
  /// NaN counts as largest.
  public func argmax(_ axis: Int? = nil, keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_argmax, axis.map { [$0] } ?? [], keepDims, as: .i64, needsElements: true, "argmax")
  }

  /// Position of the smallest element; see `argmax`.
  public func argmin(_ axis: Int? = nil, keepDims: Bool = false) -> Tensor {
    reduced(ck_reduce_argmin, axis.map { [$0] } ?? [], keepDims, as: .i64, needsElements: true, "argmin")
  }
}

extension Tensor {
  private func reduced(
    _ reduction: ck_reduction, _ axes: [Int], _ keepDims: Bool, as target: DType, correction: Double = 0,
    needsElements: Bool = false, _ name: String
  ) -> Tensor {
    let gone = axes.isEmpty ? Array(shape.indices) : axes.map { normalizedAxis($0, name) }.sorted()
    guard Set(gone).count == gone.count else { tensorFailure("\(name): axes \(axes) of shape \(shape) repeat") }
    guard !needsElements || gone.allSatisfy({ shape[$0] > 0 }) || count > 0 else {
      tensorFailure("\(name): shape \(shape) has no elements along axes \(gone)")
    }
    let kept = shape.indices.filter { !gone.contains($0) }
    let (type, compute) = reductionTypes(reduction, target)
    let result = Tensor(uninitialized: kept.map { shape[$0] }, dtype: type)
    runReduction(reduction, kept + gone, reducedCount: gone.count, correction, computing: compute, into: result)
    let shaped = keepDims ? result.reshaped(shape.indices.map { gone.contains($0) ? 1 : shape[$0] }) : result
    return shaped.converted(to: target)
  }

  /// The element type the kernel writes and the one it computes in.
  private func reductionTypes(_ reduction: ck_reduction, _ target: DType) -> (written: DType, compute: DType) {
    switch reduction {
    case ck_reduce_argmin, ck_reduce_argmax: (.i64, dtype.computeType)
    case ck_reduce_all, ck_reduce_any: (.bool, dtype.computeType)
    default: (target.computeType, target.computeType)
    }
  }

  private func runReduction(
    _ reduction: ck_reduction, _ order: [Int], reducedCount: Int, _ correction: Double, computing compute: DType,
    into result: Tensor
  ) {
    let axes = order.map { (shape[$0], strides[$0]) }
    let source = isAddressAligned ? self : copied()
    guard axes.count <= Int(ck_max_rank), isAddressAligned else {
      // Row-major in the kernel's order: two axes are left.
      let packed = source.permuted(order).contiguous()
      let kept = order.dropLast(reducedCount).map { shape[$0] }.reduce(1, *)
      let flat = packed.reshaped([kept, order.suffix(reducedCount).map { shape[$0] }.reduce(1, *)])
      flat.runReduction(reduction, [0, 1], reducedCount: 1, correction, computing: compute, into: result)
      return
    }
    let enough = withExtendedLifetime((source, result)) {
      ck_reduce(
        Kernels.current.table, reduction, compute.kernelType, source.rawPointer, dtype.kernelType, order.count,
        reducedCount, axes.map(\.0), axes.map(\.1), correction, result.storage.base)
    }
    guard enough else { tensorFailure("reduction of shape \(shape): out of memory") }
  }
}
