// Elements of any dtype as `Double`, a block at a time: for what looks at values without computing with them
// (statistics, comparison, printing), so that no converted copy is made.

extension Tensor {
  /// Calls `body` with the elements in row-major order, some at a time, on the calling thread.
  ///
  /// 64-bit integers beyond 2^53 are rounded.
  func forEachBlock(_ body: (UnsafeBufferPointer<Double>) -> Void) {
    forEachBlock(with: self, sameTwice: true) { block, _ in body(block) }
  }

  /// Calls `body` with the elements of two tensors of one shape.
  func forEachBlock(
    with other: Tensor, sameTwice: Bool = false,
    _ body: (UnsafeBufferPointer<Double>, UnsafeBufferPointer<Double>) -> Void
  ) {
    let capacity = 512, loop = StridedLoop(shape: shape, strides: [strides, other.strides])
    let tables = (dtype.byteValues, sameTwice ? [] : other.dtype.byteValues)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * capacity) { scratch in
      guard let first = scratch.baseAddress else { return }
      let second = sameTwice ? first : first + capacity
      loop.forEachRowInOrder { offsets in
        for start in stride(from: 0, to: loop.innerCount, by: capacity) {
          let count = min(capacity, loop.innerCount - start)
          read(offsets[0] + start * loop.innerStrides[0], loop.innerStrides[0], count, into: first, tables.0)
          if !sameTwice {
            other.read(offsets[1] + start * loop.innerStrides[1], loop.innerStrides[1], count, into: second, tables.1)
          }
          body(UnsafeBufferPointer(start: first, count: count), UnsafeBufferPointer(start: second, count: count))
        }
      }
    }
  }

  private func read(
    _ start: Int, _ step: Int, _ count: Int, into target: UnsafeMutablePointer<Double>, _ table: [Double]
  ) {
    func each<Scalar: TensorScalar>(_ type: Scalar.Type, _ value: (Scalar) -> Double) {
      let size = MemoryLayout<Scalar>.size, from = rawPointer + start * size
      for i in 0..<count { target[i] = value((from + i * step * size).loadUnaligned(as: Scalar.self)) }
    }
    withExtendedLifetime(self) {
      switch dtype {
      case .f64: each(Double.self) { $0 }
      case .f32: each(Float.self) { Double($0) }
      case .f16: each(Float16.self) { Double($0) }
      case .bf16: each(BFloat16.self) { Double(Float($0)) }
      case .f8e4m3, .f8e5m2: each(UInt8.self) { table[Int($0)] }
      case .i64: each(Int64.self) { Double($0) }
      case .i32: each(Int32.self) { Double($0) }
      case .i16: each(Int16.self) { Double($0) }
      case .i8: each(Int8.self) { Double($0) }
      case .u64: each(UInt64.self) { Double($0) }
      case .u32: each(UInt32.self) { Double($0) }
      case .u16: each(UInt16.self) { Double($0) }
      case .u8: each(UInt8.self) { Double($0) }
      case .bool: each(UInt8.self) { $0 != 0 ? 1 : 0 }
      }
    }
  }
}

extension DType {
  /// The values of the 256 bytes of an 8-bit float; empty for other types.
  fileprivate var byteValues: [Double] {
    switch self {
    case .f8e4m3: DType.e4m3Values
    case .f8e5m2: DType.e5m2Values
    default: []
    }
  }

  private static let e4m3Values = (0..<256).map { bits in
    bits & 0x7F == 0x7F ? Double.nan : smallFloat(bits, mantissaBits: 3, bias: 7)
  }

  /// An `f16` without its lower byte.
  private static let e5m2Values = (0..<256).map { Double(Float16(bitPattern: UInt16($0) << 8)) }

  private static func smallFloat(_ bits: Int, mantissaBits: Int, bias: Int) -> Double {
    let exponent = (bits & 0x7F) >> mantissaBits, mantissa = bits & (1 << mantissaBits - 1)
    let significand = Double(exponent == 0 ? mantissa : mantissa + 1 << mantissaBits)
    let magnitude = significand * Double(sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: 1)
    return bits & 0x80 == 0 ? magnitude : -magnitude
  }
}
