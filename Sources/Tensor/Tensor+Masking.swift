// Elements chosen by a mask.

extension Tensor {
  /// A copy with `value`, rounded to this dtype, wherever `mask` is true.
  ///
  /// - Parameter mask: bool, broadcast to this shape
  public func maskedFill(_ mask: Tensor, _ value: Float) -> Tensor {
    mask.requireDType(.bool, "maskedFill")
    let mask = mask.broadcast(to: shape), filling = Tensor(value).converted(to: dtype)
    let result = Tensor(uninitialized: shape, dtype: dtype)
    let loop = StridedLoop(shape: shape, strides: [result.strides, strides, mask.strides])
    let target = result.storage.base
    withExtendedLifetime((self, mask, filling)) {
      let origin = rawPointer, bits = mask.rawPointer, fill = filling.rawPointer
      switch dtype.size {
      case 1: loop.fill(fill.load(as: UInt8.self), to: target, from: origin, where: bits)
      case 2: loop.fill(fill.load(as: UInt16.self), to: target, from: origin, where: bits)
      case 4: loop.fill(fill.load(as: UInt32.self), to: target, from: origin, where: bits)
      default: loop.fill(fill.load(as: UInt64.self), to: target, from: origin, where: bits)
      }
    }
    return result
  }

  /// The elements where `mask` is true, in row-major order.
  ///
  /// - Parameter mask: bool; this tensor and the mask are broadcast to a common shape
  /// - Returns: `[number of true elements]`
  public func maskedSelect(_ mask: Tensor) -> Tensor {
    mask.requireDType(.bool, "maskedSelect")
    let common = Tensor.broadcastShape(shape, mask.shape, "maskedSelect")
    let source = broadcast(to: common), mask = mask.broadcast(to: common)
    let result = Tensor(uninitialized: [mask.nonZeroCount], dtype: dtype)
    let loop = StridedLoop(shape: common, strides: [mask.strides, source.strides])
    let target = result.storage.base
    withExtendedLifetime((source, mask)) {
      let origin = source.rawPointer, bits = mask.rawPointer
      switch dtype.size {
      case 1: loop.select(UInt8.self, to: target, from: origin, where: bits)
      case 2: loop.select(UInt16.self, to: target, from: origin, where: bits)
      case 4: loop.select(UInt32.self, to: target, from: origin, where: bits)
      default: loop.select(UInt64.self, to: target, from: origin, where: bits)
      }
    }
    return result
  }

  /// Where the elements are not zero, in row-major order: `torch.nonzero`. NaN is not zero, -0 is.
  ///
  /// - Returns: `i64`, `[number of such elements, rank]`
  public func nonZero() -> Tensor {
    let found = nonZeroCount, rank = self.rank
    var result = Tensor(uninitialized: [found, rank], dtype: .i64)
    let target = result.freshPointer(as: Int.self)
    var row = 0, position = [Int](repeating: 0, count: rank)
    withExtendedLifetime(self) {
      forEachNonZeroFlag { flag in
        if flag {
          for axis in 0..<rank { target[row * rank + axis] = position[axis] }
          row += 1
        }
        var axis = rank - 1
        while axis >= 0 {
          position[axis] += 1
          if position[axis] < shape[axis] { break }
          position[axis] = 0
          axis -= 1
        }
      }
    }
    return result
  }

  /// Number of elements that are not zero.
  public var nonZeroCount: Int {
    var found = 0
    forEachNonZeroFlag { if $0 { found += 1 } }
    return found
  }

  private func forEachNonZeroFlag(_ body: (Bool) -> Void) {
    let loop = StridedLoop(shape: shape, strides: [strides]), origin = rawPointer
    // Of a float only the bits below the sign say whether it is zero.
    let sign = dtype.isFloatingPoint
    withExtendedLifetime(self) {
      switch dtype.size {
      case 1: loop.flags(sign ? UInt8.max >> 1 : .max, origin, body)
      case 2: loop.flags(sign ? UInt16.max >> 1 : .max, origin, body)
      case 4: loop.flags(sign ? UInt32.max >> 1 : .max, origin, body)
      default: loop.flags(sign ? UInt64.max >> 1 : .max, origin, body)
      }
    }
  }
}

extension StridedLoop {
  @inline(__always)
  fileprivate func flags<Word: FixedWidthInteger & BitwiseCopyable>(
    _ significant: Word, _ origin: UnsafeRawPointer, _ body: (Bool) -> Void
  ) {
    let size = MemoryLayout<Word>.size, stride = innerStrides[0] * size
    forEachRowInOrder { offsets in
      var from = origin + offsets[0] * size
      for _ in 0..<innerCount {
        body(from.loadUnaligned(as: Word.self) & significant != 0)
        from += stride
      }
    }
  }

  fileprivate func fill<Word: BitwiseCopyable>(
    _ value: Word, to target: UnsafeMutableRawPointer, from origin: UnsafeRawPointer, where mask: UnsafeRawPointer
  ) {
    let size = MemoryLayout<Word>.size, count = innerCount
    let targetStride = innerStrides[0] * size, originStride = innerStrides[1] * size, maskStride = innerStrides[2]
    forEachRow { offsets in
      let to = target + offsets[0] * size, from = origin + offsets[1] * size, bits = mask + offsets[2]
      for i in 0..<count {
        let old = (from + i * originStride).loadUnaligned(as: Word.self)
        let chosen = (bits + i * maskStride).load(as: UInt8.self) != 0 ? value : old
        (to + i * targetStride).storeBytes(of: chosen, as: Word.self)
      }
    }
  }

  fileprivate func select<Word: BitwiseCopyable>(
    _ type: Word.Type, to target: UnsafeMutableRawPointer, from origin: UnsafeRawPointer, where mask: UnsafeRawPointer
  ) {
    let size = MemoryLayout<Word>.size
    let maskStride = innerStrides[0], originStride = innerStrides[1] * size
    var to = target
    forEachRowInOrder { offsets in
      var bits = mask + offsets[0], from = origin + offsets[1] * size
      for _ in 0..<innerCount {
        if bits.load(as: UInt8.self) != 0 {
          to.storeBytes(of: from.loadUnaligned(as: Word.self), as: Word.self)
          to += size
        }
        bits += maskStride
        from += originStride
      }
    }
  }
}
