// Tensors made of several tensors, or of one tensor several times. Every source is written once, straight into the
// result.

/// Tensors joined along an existing axis.
///
/// - Parameter tensors: at least one; all of one dtype, with equal shapes apart from `axis`
public func concatenated(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
  guard let first = tensors.first else { tensorFailure("concatenated: no tensors") }
  let place = first.normalizedAxis(axis, "concatenated")
  var shape = first.shape
  for tensor in tensors.dropFirst() {
    guard tensor.dtype == first.dtype else {
      tensorFailure("concatenated: dtypes \(first.dtype) and \(tensor.dtype) differ")
    }
    let fits =
      tensor.rank == first.rank
      && shape.indices.allSatisfy { $0 == place || tensor.shape[$0] == first.shape[$0] }
    guard fits else {
      tensorFailure("concatenated: shapes \(first.shape) and \(tensor.shape) differ outside axis \(axis)")
    }
    shape[place] += tensor.shape[place]
  }
  if tensors.count == 1 { return first }
  let result = Tensor(uninitialized: shape, dtype: first.dtype)
  var start = 0
  for tensor in tensors {
    result.narrow(place, from: start, count: tensor.shape[place]).overwrite(with: tensor)
    start += tensor.shape[place]
  }
  return result
}

/// Tensors of one shape and dtype joined along a new axis.
///
/// - Parameter axis: where the new axis stands in the result; its extent is the number of tensors
public func stacked(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
  guard let first = tensors.first else { tensorFailure("stacked: no tensors") }
  if let other = tensors.first(where: { $0.shape != first.shape }) {
    tensorFailure("stacked: shapes \(first.shape) and \(other.shape) differ")
  }
  let place = axis < 0 ? axis + first.rank + 1 : axis
  guard (0...first.rank).contains(place) else { tensorFailure("stacked: no place \(axis) in shape \(first.shape)") }
  return concatenated(tensors.map { $0.unsqueezed(place) }, axis: place)
}

extension Tensor {
  /// Every position of one axis `count` times in a row: `[a, b]` becomes `[a, a, b, b]`.
  ///
  /// `numpy.repeat`, `torch.repeat_interleave`.
  public func repeated(_ count: Int, axis: Int) -> Tensor {
    let axis = normalizedAxis(axis, "repeated")
    guard count >= 0 else { tensorFailure("repeated: count \(count) is negative") }
    var spread = shape, result = shape
    spread.insert(count, at: axis + 1)
    result[axis] *= count
    return unsqueezed(axis + 1).broadcast(to: spread).reshaped(result)
  }

  /// Every position of one axis as often as `counts` says.
  ///
  /// - Parameter counts: one per position of the axis
  public func repeated(_ counts: [Int], axis: Int) -> Tensor {
    let axis = normalizedAxis(axis, "repeated")
    guard counts.count == shape[axis], counts.allSatisfy({ $0 >= 0 }) else {
      tensorFailure("repeated: counts \(counts) do not fit axis \(axis) of shape \(shape)")
    }
    return take(axis, counts.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element) })
  }

  /// The whole tensor side by side with itself, `counts[i]` times along axis `i`: `[a, b]` becomes `[a, b, a, b]`.
  ///
  /// `numpy.tile`: missing leading counts are 1, missing leading axes are added.
  public func tiled(_ counts: Int...) -> Tensor { tiled(counts) }

  public func tiled(_ counts: [Int]) -> Tensor {
    guard counts.allSatisfy({ $0 >= 0 }) else { tensorFailure("tiled: counts \(counts) for shape \(shape)") }
    let axes = max(rank, counts.count)
    let extents = [Int](repeating: 1, count: axes - rank) + shape
    let times = [Int](repeating: 1, count: axes - counts.count) + counts
    let single = zip(times, extents).flatMap { [1, $0.1] }
    let spread = zip(times, extents).flatMap { [$0.0, $0.1] }
    return reshaped(single).broadcast(to: spread).reshaped(zip(times, extents).map { $0 * $1 })
  }
}
