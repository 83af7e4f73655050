import Glibc

// Elements picked by a tensor of positions. One walk serves all: it moves through the result and the positions by
// their strides, so nothing is expanded or packed beforehand.

extension Tensor {
  /// Positions of one axis in the order `indices` names them; they replace the axis.
  ///
  /// An embedding lookup is `table.take(0, tokens)`: `[vocabulary, dim]` and `[batch, tokens]` give
  /// `[batch, tokens, dim]`. `numpy.take`, `torch.index_select`, PyTorch's `x[:, indices]`.
  ///
  /// - Parameter indices: integers of any shape; negative ones count from the end
  public func take(_ axis: Int, _ indices: Tensor) -> Tensor {
    let axis = normalizedAxis(axis, "take"), positions = indices.positions("take")
    let lead = Array(shape[..<axis]), trail = Array(shape[(axis + 1)...])
    let result = Tensor(uninitialized: lead + indices.shape + trail, dtype: dtype)
    let still = [Int](repeating: 0, count: indices.rank)
    pick(
      into: result, positions: positions,
      positionStrides: lead.map { _ in 0 } + positions.strides + trail.map { _ in 0 },
      sourceStrides: Array(strides[..<axis]) + still + Array(strides[(axis + 1)...]),
      AxisBounds(operation: "take", axis: axis, shape: shape, allowsNegative: true))
    return result
  }

  public func take(_ axis: Int, _ indices: [Int]) -> Tensor { take(axis, Tensor(scalars: indices)) }

  /// `result[i][j][k] = self[i][indices[i][j][k]][k]` for axis 1 of 3: `torch.gather`.
  ///
  /// - Parameter indices: integers of this rank, on the other axes no longer than this tensor; none negative
  /// - Returns: a tensor of `indices`' shape
  public func gather(_ axis: Int, _ indices: Tensor) -> Tensor {
    let axis = normalizedAxis(axis, "gather")
    requireFits(indices, axis, "gather")
    let result = Tensor(uninitialized: indices.shape, dtype: dtype)
    let positions = indices.positions("gather")
    pick(
      into: result, positions: positions, positionStrides: positions.strides, sourceStrides: stridesWithout(axis),
      AxisBounds(operation: "gather", axis: axis, shape: shape, allowsNegative: false))
    return result
  }

  /// `indices` as `i64`.
  func positions(_ operation: String) -> Tensor {
    guard dtype.isInteger else {
      tensorFailure("\(operation): indices of shape \(shape) are \(dtype), expected i64")
    }
    return converted(to: .i64)
  }

  func stridesWithout(_ axis: Int) -> [Int] {
    var rest = strides
    rest[axis] = 0
    return rest
  }

  func requireFits(_ indices: Tensor, _ axis: Int, _ operation: String) {
    let fits = indices.rank == rank && shape.indices.allSatisfy { $0 == axis || indices.shape[$0] <= shape[$0] }
    guard fits || indices.count == 0 && indices.rank == rank else {
      tensorFailure("\(operation): indices of shape \(indices.shape) do not fit shape \(shape) outside axis \(axis)")
    }
  }

  private func pick(
    into result: Tensor, positions: Tensor, positionStrides: [Int], sourceStrides: [Int], _ bounds: AxisBounds
  ) {
    let loop = StridedLoop(shape: result.shape, strides: [result.strides, positionStrides, sourceStrides])
    let target = result.storage.base, step = strides[bounds.axis]
    withExtendedLifetime((self, positions)) {
      let indices = positions.rawPointer, origin = rawPointer
      switch dtype.size {
      case 1: loop.pick(UInt8.self, to: target, at: indices, from: origin, step, bounds)
      case 2: loop.pick(UInt16.self, to: target, at: indices, from: origin, step, bounds)
      case 4: loop.pick(UInt32.self, to: target, at: indices, from: origin, step, bounds)
      default: loop.pick(UInt64.self, to: target, at: indices, from: origin, step, bounds)
      }
    }
  }
}

/// The positions that exist on an axis, with what a trap's text needs.
struct AxisBounds: Sendable {
  let operation: String
  let axis: Int
  let shape: [Int]
  let extent: Int
  let allowsNegative: Bool

  init(operation: String, axis: Int, shape: [Int], allowsNegative: Bool) {
    self.operation = operation
    self.axis = axis
    self.shape = shape
    self.allowsNegative = allowsNegative
    extent = shape[axis]
  }

  /// `index` counted from the front; stops the program when it is outside.
  @inline(__always) func position(_ index: Int) -> Int {
    UInt(bitPattern: index) < UInt(bitPattern: extent) ? index : wrapped(index)
  }

  @inline(never) private func wrapped(_ index: Int) -> Int {
    guard allowsNegative, index < 0, index >= -extent else {
      tensorFailure("\(operation): index \(index) is outside axis \(axis) of shape \(shape)")
    }
    return index + extent
  }
}

extension StridedLoop {
  /// Operand 0 is written, operand 1 holds positions (`Int`), operand 2 is read `position * step` elements further.
  fileprivate func pick<Word: BitwiseCopyable>(
    _ type: Word.Type, to target: UnsafeMutableRawPointer, at indices: UnsafeRawPointer,
    from origin: UnsafeRawPointer, _ step: Int, _ bounds: AxisBounds
  ) {
    let size = MemoryLayout<Word>.size, count = innerCount
    let targetStride = innerStrides[0] * size, indexStride = innerStrides[1] * 8, originStride = innerStrides[2] * size
    forEachRow { offsets in
      var to = target + offsets[0] * size, from = origin + offsets[2] * size
      var index = indices + offsets[1] * 8
      // Rows of one position: whole runs of the source.
      if indexStride == 0 {
        from += bounds.position(index.loadUnaligned(as: Int.self)) * step * size
        if targetStride == size, originStride == size {
          memcpy(to, from, count * size)
          return
        }
        for _ in 0..<count {
          to.storeBytes(of: from.loadUnaligned(as: Word.self), as: Word.self)
          to += targetStride
          from += originStride
        }
        return
      }
      for _ in 0..<count {
        let position = bounds.position(index.loadUnaligned(as: Int.self))
        to.storeBytes(of: (from + position * step * size).loadUnaligned(as: Word.self), as: Word.self)
        to += targetStride
        from += originStride
        index += indexStride
      }
    }
  }
}
