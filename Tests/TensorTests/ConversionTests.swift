import Foundation
import Tensor
import TestSupport
import Testing

/// Conversions against the definition of each format, bit by bit, on every instruction set.
@Suite struct ConversionTests {
  static let narrow: [DType] = [.bf16, .f16, .f8e4m3, .f8e5m2]

  /// Exponent bits, mantissa bits, whether there are infinities.
  static func format(_ type: DType) -> (exponent: Int, mantissa: Int, infinite: Bool) {
    switch type {
    case .bf16: (8, 7, true)
    case .f16: (5, 10, true)
    case .f8e5m2: (5, 2, true)
    default: (4, 3, false)
    }
  }

  /// The number a pattern stands for, from sign, exponent and mantissa.
  static func value(_ pattern: Int, _ type: DType) -> Double {
    let (exponentBits, mantissaBits, infinite) = format(type)
    let mantissa = pattern & ((1 << mantissaBits) - 1), top = (1 << exponentBits) - 1
    let exponent = (pattern >> mantissaBits) & top, bias = top / 2
    let sign: Double = pattern >> (exponentBits + mantissaBits) & 1 == 1 ? -1 : 1
    if infinite, exponent == top { return mantissa == 0 ? sign * .infinity : .nan }
    if !infinite, exponent == top, mantissa == (1 << mantissaBits) - 1 { return .nan }
    let fraction = Double(mantissa) / Double(1 << mantissaBits)
    return exponent == 0
      ? sign * fraction * pow(2, Double(1 - bias)) : sign * (1 + fraction) * pow(2, Double(exponent - bias))
  }

  static func patterns(_ type: DType) -> Tensor {
    type.size == 1
      ? Tensor(scalars: (0..<256).map { UInt8($0) }) : Tensor(scalars: (0..<65536).map { UInt16($0) })
  }

  /// The bits of `x`'s elements as another type of their size.
  static func bits(_ x: Tensor, as type: DType) -> Tensor {
    var result = Tensor(uninitialized: x.shape, dtype: type)
    x.bytes.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { result.uniquePointer().copyMemory(from: base, byteCount: bytes.count) }
    }
    return result
  }

  @Test(arguments: Kernels.available, narrow) func everyPatternWidensExactly(_ kernels: Kernels, _ type: DType) {
    let wide = Kernels.with(kernels) { Self.bits(Self.patterns(type), as: type).floats }
    for (pattern, value) in wide.enumerated() {
      let expected = Self.value(pattern, type)
      #expect(Double(value) == expected || (value.isNaN && expected.isNaN), "\(type) pattern \(pattern)")
      if value == 0 { #expect((value.sign == .minus) == (pattern != 0)) }
    }
  }

  /// Around every number of the format: itself, the middle to its neighbour, and one f32 step to either side.
  @Test(arguments: Kernels.available, narrow) func roundingIsToNearestEven(_ kernels: Kernels, _ type: DType) {
    let (exponentBits, mantissaBits, infinite) = Self.format(type)
    let count = 1 << (exponentBits + mantissaBits)
    let largest = (0..<count).last { Self.value($0, type).isFinite } ?? 0
    var inputs: [Float] = [], expected: [Int] = []
    for pattern in 0..<largest {
      let low = Self.value(pattern, type), middle = Float((low + Self.value(pattern + 1, type)) / 2)
      inputs += [Float(low), middle.nextDown, middle, middle.nextUp]
      expected += [pattern, pattern, pattern + pattern % 2, pattern + 1]
    }
    let top = Float(Self.value(largest, type)), step = top - Float(Self.value(largest - 1, type))
    inputs += [top, (top + step / 2).nextDown, top + step / 2, .infinity]
    let overflow = infinite ? largest + 1 : largest
    expected += [largest, largest, overflow, overflow]
    let negative = 1 << (exponentBits + mantissaBits)
    let source = Tensor(inputs + inputs.map { -$0 })
    let result = Kernels.with(kernels) { source.converted(to: type) }
    let bits =
      result.dtype.size == 1
      ? result.bytes.map(Int.init) : Self.bits(result, as: .u16).scalars(as: UInt16.self).map(Int.init)
    let wanted = expected + expected.map { $0 | negative }
    let wrong = bits.indices.filter { bits[$0] != wanted[$0] }
    #expect(wrong.isEmpty, "\(type): \(wrong.count) wrong, first \(wrong.first.map { source.floats[$0] } ?? 0)")
  }

  @Test(arguments: Kernels.available) func nanStaysNaNAndKeepsItsSign(_ kernels: Kernels) {
    // 0x7f800001: a signalling NaN whose payload lies below every narrow mantissa.
    let source = Tensor([Float(bitPattern: 0x7F80_0001), .nan, -.nan] + [Float](repeating: .nan, count: 40))
    for type in Self.narrow {
      let back = Kernels.with(kernels) { source.converted(to: type).floats }
      #expect(back.allSatisfy { $0.isNaN }, "\(type)")
      #expect(back[2].sign == .minus && back[1].sign == .plus, "\(type)")
    }
  }

  @Test(arguments: Kernels.available) func floatToIntegerTruncatesAndSaturates(_ kernels: Kernels) {
    let values: [Double] = [0, 0.9, -0.9, 1.5, -1.5, 127, 128, 255.9, 256, -128.5, -129, 3e9, -3e9, 1e19, -1e19, 2e20]
    let special: [Double] = [.nan, .infinity, -.infinity]
    Kernels.with(kernels) {
      for source in [DType.f32, .f64] {
        let x = Tensor(scalars: values + special).converted(to: source)
        let exact = x.converted(to: .f64).scalars(as: Double.self)
        expectIntegers(x, exact, Int8.self)
        expectIntegers(x, exact, UInt8.self)
        expectIntegers(x, exact, Int16.self)
        expectIntegers(x, exact, UInt16.self)
        expectIntegers(x, exact, Int32.self)
        expectIntegers(x, exact, UInt32.self)
        expectIntegers(x, exact, Int64.self)
        expectIntegers(x, exact, UInt64.self)
        #expect(x.converted(to: .bool).scalars(as: Bool.self) == exact.map { $0 != 0 })
      }
    }
  }

  private func expectIntegers<I: FixedWidthInteger & TensorScalar>(_ x: Tensor, _ exact: [Double], _ type: I.Type) {
    let expected = exact.map { value -> I in
      if value.isNaN { return 0 }
      return I(exactly: value.rounded(.towardZero)) ?? (value < 0 ? I.min : I.max)
    }
    #expect(x.converted(to: I.dtype).scalars(as: I.self) == expected, "\(x.dtype) to \(I.dtype)")
  }

  @Test(arguments: Kernels.available) func integersWrapAndWidenExactly(_ kernels: Kernels) {
    let values: [Int64] = [0, 1, -1, 127, 128, 255, 256, -129, 65535, 1 << 31, -(1 << 40), .max, .min]
    Kernels.with(kernels) {
      let x = Tensor(scalars: values)
      #expect(x.converted(to: .u8).scalars(as: UInt8.self) == values.map { UInt8(truncatingIfNeeded: $0) })
      #expect(x.converted(to: .i16).scalars(as: Int16.self) == values.map { Int16(truncatingIfNeeded: $0) })
      #expect(x.converted(to: .u64).scalars(as: UInt64.self) == values.map { UInt64(bitPattern: $0) })
      #expect(x.converted(to: .f64).scalars(as: Double.self) == values.map { Double($0) })
      #expect(x.floats == values.map { Float($0) })
      let large = x.converted(to: .u64)
      #expect(large.converted(to: .f64).scalars(as: Double.self) == values.map { Double(UInt64(bitPattern: $0)) })
      #expect(x.converted(to: .bool).scalars(as: Bool.self) == values.map { $0 != 0 })
    }
  }

  /// Every pair of types, contiguous and through a transposed view, over sizes around the vector width.
  @Test(arguments: Kernels.available) func everyPairAgreesOnSmallIntegers(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for count in [0, 1, 15, 16, 17, 600] {
        let values = (0..<count * 3).map { Float($0 % 3) }
        for source in DType.allCases {
          let x = Tensor(values, shape: [count, 3]).converted(to: source)
          for target in DType.allCases {
            let wanted = source == .bool || target == .bool ? values.map { $0 != 0 ? Float(1) : 0 } : values
            let y = x.converted(to: target)
            #expect(y.dtype == target && y.floats == wanted, "\(source) to \(target), \(count)")
            #expect(
              x.transposed().converted(to: target).transposed().floats == wanted, "\(source) to \(target) strided")
          }
        }
      }
    }
  }
}
