// Elements written to, or added at, positions that a tensor names; one-hot rows.

extension Tensor {
  /// A copy in which `result[i][indices[i][j][k]][k] = source[i][j][k]` for axis 1 of 3: `torch.scatter`.
  ///
  /// Where a position is named more than once, the last one along the axis stays (PyTorch leaves it open).
  ///
  /// - Parameters:
  ///   - indices: integers of this rank, on the other axes no longer than this tensor; none negative
  ///   - source: of this rank and dtype, nowhere shorter than `indices`
  public func scatter(_ axis: Int, _ indices: Tensor, _ source: Tensor) -> Tensor {
    var result = copied()
    result.scatter(axis, indices, source, "scatter")
    return result
  }

  /// As `scatter`, with one value, rounded to this dtype, for all positions.
  public func scatter(_ axis: Int, _ indices: Tensor, _ value: Float) -> Tensor {
    scatter(axis, indices, Tensor(value).converted(to: dtype).broadcast(to: indices.shape))
  }

  /// A copy in which `result[i][indices[i][j][k]][k] += source[i][j][k]` for axis 1 of 3: `torch.scatter_add`.
  ///
  /// Sums run in the order of the axis, so results repeat exactly; narrow floats are summed in `f32` and rounded once,
  /// integers wrap.
  public func scatterAdd(_ axis: Int, _ indices: Tensor, _ source: Tensor) -> Tensor {
    requireSource(source, indices, "scatterAdd")
    switch dtype {
    case .f32: return scatterAdded(Float.self, axis, indices, source)
    case .f64: return scatterAdded(Double.self, axis, indices, source)
    case .i64: return scatterAdded(Int64.self, axis, indices, source)
    case .bool: tensorFailure("scatterAdd: shape \(shape) is bool, which does not add")
    default:
      let wide: DType = dtype.isFloatingPoint ? .f32 : .i64
      return converted(to: wide).scatterAdd(axis, indices, source.converted(to: wide)).converted(to: dtype)
    }
  }

  /// A new last axis of extent `classes`: 1 at the position each element names, 0 elsewhere.
  public func oneHot(_ classes: Int, dtype: DType = .f32) -> Tensor {
    guard classes >= 0 else { tensorFailure("oneHot: \(classes) classes for shape \(shape)") }
    var result = Tensor(zeros: shape + [classes], dtype: dtype)
    let one = Tensor(1).converted(to: dtype).broadcast(to: shape + [1])
    result.scatter(rank, unsqueezed(rank), one, "oneHot")
    return result
  }

  /// Writes into this tensor, which nobody else can see yet.
  private mutating func scatter(_ axis: Int, _ indices: Tensor, _ source: Tensor, _ operation: String) {
    requireSource(source, indices, operation)
    let lines = ScatterLines(self, axis, indices, source, operation), target = uniquePointer()
    switch dtype.size {
    case 1: lines.run(UInt8.self, target, source) { $0 = $1 }
    case 2: lines.run(UInt16.self, target, source) { $0 = $1 }
    case 4: lines.run(UInt32.self, target, source) { $0 = $1 }
    default: lines.run(UInt64.self, target, source) { $0 = $1 }
    }
  }

  private func scatterAdded<Scalar: WrappingSum>(
    _ type: Scalar.Type, _ axis: Int, _ indices: Tensor, _ source: Tensor
  ) -> Tensor {
    var result = copied()
    let lines = ScatterLines(result, axis, indices, source, "scatterAdd"), target = result.uniquePointer()
    lines.run(Scalar.self, target, source) { $0 = $0.wrappingSum($1) }
    return result
  }

  private func requireSource(_ source: Tensor, _ indices: Tensor, _ operation: String) {
    guard source.dtype == dtype else { tensorFailure("\(operation): dtypes \(dtype) and \(source.dtype) differ") }
    let fits = source.rank == indices.rank && zip(source.shape, indices.shape).allSatisfy { $0 >= $1 }
    guard fits else {
      tensorFailure("\(operation): source of shape \(source.shape) does not cover indices of shape \(indices.shape)")
    }
  }
}

private protocol WrappingSum: TensorScalar {
  func wrappingSum(_ other: Self) -> Self
}
extension Float: WrappingSum { fileprivate func wrappingSum(_ other: Float) -> Float { self + other } }
extension Double: WrappingSum { fileprivate func wrappingSum(_ other: Double) -> Double { self + other } }
extension Int64: WrappingSum { fileprivate func wrappingSum(_ other: Int64) -> Int64 { self &+ other } }

/// The walk of a scatter: split over threads along an axis that is not scattered along, so that no two threads write
/// to one line and every line is written in order.
private struct ScatterLines {
  let positions: Tensor
  let bounds: AxisBounds
  let step: Int
  let strides: [[Int]]  // of positions, source and target
  let splitAxis: Int?

  init(_ target: Tensor, _ axis: Int, _ indices: Tensor, _ source: Tensor, _ operation: String) {
    let axis = target.normalizedAxis(axis, operation)
    target.requireFits(indices, axis, operation)
    positions = indices.positions(operation)
    bounds = AxisBounds(operation: operation, axis: axis, shape: target.shape, allowsNegative: false)
    step = target.strides[axis]
    strides = [positions.strides, source.strides, target.stridesWithout(axis)]
    splitAxis = indices.shape.indices.filter { $0 != axis }.max { indices.shape[$0] < indices.shape[$1] }
  }

  func run<Word: BitwiseCopyable>(
    _ type: Word.Type, _ target: UnsafeMutableRawPointer, _ source: Tensor, _ combine: (inout Word, Word) -> Void
  ) {
    let shape = positions.shape
    guard positions.count > 0 else { return }
    withExtendedLifetime((positions, source)) {
      let bases = (positions.rawPointer, source.rawPointer)
      guard let splitAxis else {
        StridedLoop(shape: shape, strides: strides).scatter(target, bases.0, bases.1, step, bounds, combine)
        return
      }
      parallelFor(shape[splitAxis], grain: max(1, 16384 * shape[splitAxis] / positions.count)) { range in
        var part = shape
        part[splitAxis] = range.count
        let start = strides.map { $0[splitAxis] * range.lowerBound }
        StridedLoop(shape: part, strides: strides).scatter(
          target + start[2] * MemoryLayout<Word>.size, bases.0 + start[0] * 8,
          bases.1 + start[1] * MemoryLayout<Word>.size, step, bounds, combine)
      }
    }
  }
}

extension StridedLoop {
  /// Operand 0 holds positions (`Int`), operand 1 the source, operand 2 is written `position * step` elements further.
  fileprivate func scatter<Word: BitwiseCopyable>(
    _ target: UnsafeMutableRawPointer, _ indices: UnsafeRawPointer, _ source: UnsafeRawPointer, _ step: Int,
    _ bounds: AxisBounds, _ combine: (inout Word, Word) -> Void
  ) {
    let words = target.assumingMemoryBound(to: Word.self), size = MemoryLayout<Word>.size
    let indexStride = innerStrides[0], sourceStride = innerStrides[1], targetStride = innerStrides[2]
    forEachRowInOrder { offsets in
      var index = offsets[0], from = offsets[1], to = offsets[2]
      for _ in 0..<innerCount {
        let position = bounds.position((indices + index * 8).loadUnaligned(as: Int.self))
        combine(&words[to + position * step], (source + from * size).loadUnaligned(as: Word.self))
        index += indexStride
        from += sourceStride
        to += targetStride
      }
    }
  }
}
