import Glibc

// `Tensor` is not `Equatable`: whether NaN equals NaN and 0 equals -0 depends on the question. These two say which they
// ask.

extension Tensor {
  /// Whether shape, dtype and every bit agree: NaN equals a NaN of the same bits, 0 differs from -0.
  public func isIdentical(to other: Tensor) -> Bool {
    guard shape == other.shape, dtype == other.dtype else { return false }
    let loop = StridedLoop(shape: shape, strides: [strides, other.strides])
    return withExtendedLifetime((self, other)) {
      switch dtype.size {
      case 1: loop.isEqual(UInt8.self, rawPointer, other.rawPointer)
      case 2: loop.isEqual(UInt16.self, rawPointer, other.rawPointer)
      case 4: loop.isEqual(UInt32.self, rawPointer, other.rawPointer)
      default: loop.isEqual(UInt64.self, rawPointer, other.rawPointer)
      }
    }
  }

  /// Whether `|self - other| <= absolute + relative * |other|` holds for every element: `torch.allclose`.
  ///
  /// Shapes must be equal; dtypes may differ. Infinities agree with themselves only.
  public func allClose(
    to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8, equalNaN: Bool = false
  ) -> Bool {
    guard shape == other.shape else { tensorFailure("allClose: shapes \(shape) and \(other.shape) differ") }
    var agrees = true
    forEachBlock(with: other) { a, b in
      for i in a.indices where agrees {
        let (x, y) = (a[i], b[i])
        if x == y || equalNaN && x.isNaN && y.isNaN { continue }
        agrees = x.isFinite && y.isFinite && abs(x - y) <= absolute + relative * abs(y)
      }
    }
    return agrees
  }
}

extension StridedLoop {
  fileprivate func isEqual<Word: FixedWidthInteger & BitwiseCopyable>(
    _ type: Word.Type, _ first: UnsafeRawPointer, _ second: UnsafeRawPointer
  ) -> Bool {
    let size = MemoryLayout<Word>.size, count = innerCount
    let (a, b) = (innerStrides[0] * size, innerStrides[1] * size)
    var equal = true
    forEachRowInOrder { offsets in
      guard equal else { return }
      let from = first + offsets[0] * size, other = second + offsets[1] * size
      if a == size, b == size {
        equal = memcmp(from, other, count * size) == 0
        return
      }
      for i in 0..<count
      where (from + i * a).loadUnaligned(as: Word.self) != (other + i * b).loadUnaligned(as: Word.self) {
        equal = false
        return
      }
    }
    return equal
  }
}
