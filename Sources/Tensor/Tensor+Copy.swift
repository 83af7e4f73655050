import CKernels
import Glibc

extension Tensor {
  /// This tensor if its elements already lie in row-major order, else a copy that does.
  public func contiguous() -> Tensor { isContiguous ? self : copied() }

  /// The elements in memory of their own, in row-major order.
  public func copied() -> Tensor {
    let result = Tensor(uninitialized: shape, dtype: dtype)
    result.overwrite(with: self)
    return result
  }

  /// Writes `value` over every element.
  public mutating func fill(_ value: Float) {
    self = Tensor(full: shape, value, dtype: dtype)
  }

  /// Writes `source` (of this shape and dtype) over the elements. Only for memory nobody else can see.
  func overwrite(with source: Tensor) {
    let loop = StridedLoop(shape: shape, strides: [strides, source.strides])
    let target = storage.base + offset * dtype.size, origin = source.rawPointer
    withExtendedLifetime((self, source)) {
      switch dtype.size {
      case 1: loop.copy(UInt8.self, to: target, from: origin)
      case 2: loop.copy(UInt16.self, to: target, from: origin)
      case 4: loop.copy(UInt32.self, to: target, from: origin)
      default: loop.copy(UInt64.self, to: target, from: origin)
      }
    }
  }
}

extension StridedLoop {
  /// Copies operand 1 to operand 0, element by element of `Word`'s size. Addresses may be unaligned.
  fileprivate func copy<Word: BitwiseCopyable>(
    _ type: Word.Type, to target: UnsafeMutableRawPointer, from origin: UnsafeRawPointer
  ) {
    let size = MemoryLayout<Word>.size, count = innerCount
    let targetStride = innerStrides[0] * size, originStride = innerStrides[1] * size
    if targetStride == size, originStride == size {
      forEachRow { offsets in memcpy(target + offsets[0] * size, origin + offsets[1] * size, count * size) }
      return
    }
    if let (elements, times, others) = repetition {
      others.forEachElement(weight: elements * times) { to, from in
        ck_repeat(size, elements, times, target + to * size, origin + from * size)
      }
      return
    }
    if let (planeRows, step, others) = transposition {
      others.forEachElement { to, from in
        ck_transpose(size, planeRows, count, target + to * size, step * size, origin + from * size, originStride)
      }
      return
    }
    forEachRow { offsets in
      var to = target + offsets[0] * size, from = origin + offsets[1] * size
      for _ in 0..<count {
        to.storeBytes(of: from.loadUnaligned(as: Word.self), as: Word.self)
        to += targetStride
        from += originStride
      }
    }
  }
  /// Calls `body` with both operands' offsets of every element; see `forEachRow`.
  private func forEachElement(weight: Int = 1, _ body: (Int, Int) -> Void) {
    forEachRow(weight: weight) { offsets in
      for i in 0..<innerCount { body(offsets[0] + i * innerStrides[0], offsets[1] + i * innerStrides[1]) }
    }
  }
}
