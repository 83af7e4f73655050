import Tensor
import TestSupport
import Testing

/// Products with weights in blocks under `ComputePrecision.int8`.
@Suite struct IntegerProductTests {
  static let formats: [QuantizedMatrix.Format] = [.q8_0, .q4_0, .q4_K, .q5_K, .q6_K]

  private func product(
    _ kernels: Kernels, _ x: Tensor, _ weight: QuantizedMatrix, columns: Range<Int>? = nil, bias: Tensor? = nil,
    activation: Activation = .identity, _ precision: ComputePrecision = .int8
  ) -> Tensor {
    Kernels.with(kernels) {
      ComputePrecision.with(precision) {
        Tensor.linear([LinearInput(x)], weight: weight, columns: columns, bias: bias, activation: activation)[0]
      }
    }
  }

  /// Rounded to 8 bits as the documentation says: a scale for every 32 neighbours of a row.
  private func rounded(_ x: Tensor) -> Tensor {
    let depth = x.shape[1]
    var values = x.converted(to: .f32).scalars(as: Float.self)
    for row in 0..<x.shape[0] {
      for group in stride(from: 0, to: depth, by: 32) {
        let range = row * depth + group..<row * depth + min(depth, group + 32)
        let peak = values[range].map { abs($0) }.max() ?? 0
        for i in range where peak > 0 {
          values[i] = (values[i] * (127 / peak)).rounded(.toNearestOrEven) * (peak / 127)
        }
      }
    }
    return Tensor(scalars: values, shape: x.shape)
  }

  @Test(arguments: Kernels.variants, formats)
  func aProductIsThatOfRoundedActivationsAndTheWeightsAsTheyAre(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 15)
    for (rows, columns, depth) in [(1, 1, 256), (3, 17, 512), (9, 53, 768)] {
      let weight = QuantizedMatrix.sketch(format, rows: columns, columns: depth, seed: UInt64(depth))
      for dtype in [DType.f32, .bf16, .f16] {
        let x = numbers.tensor(rows, depth, dtype: dtype), bias = numbers.tensor(columns)
        let expected = ProductReference(rounded(x), weight.dequantized()) {
          $2 + Double(bias.scalars(as: Float.self)[$1])
        }
        expected.expect(product(kernels, x, weight, bias: bias), "\(format) \(rows)x\(depth)x\(columns) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.variants, formats)
  func evenlySpreadNumbersLoseHalfAPercent(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 16)
    let x = numbers.tensor(20, 3072), weight = QuantizedMatrix.sketch(format, rows: 40, columns: 3072, seed: 3)
    let exact = product(kernels, x, weight, .float), difference = product(kernels, x, weight) - exact
    let error = difference.norm().item / exact.norm().item
    #expect(error > 0.001 && error < 0.006, "\(format) \(kernels): \(error)")
  }

  @Test(arguments: Kernels.variants, formats)
  func aRowHasTheSameBitsInAnyCompanyOnAnyNumberOfThreads(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 17)
    let x = numbers.tensor(70, 768), bias = numbers.tensor(53)
    let weight = QuantizedMatrix.sketch(format, rows: 53, columns: 768, seed: 4)
    let all = product(kernels, x, weight, bias: bias, activation: .silu)
    for (first, count) in Array(1...17).map({ (0, $0) }) + [(3, 1), (5, 16), (37, 33)] {
      let some = product(kernels, x.narrow(0, from: first, count: count), weight, bias: bias, activation: .silu)
      #expect(some.isIdentical(to: all.narrow(0, from: first, count: count)), "\(count) rows \(format) \(kernels)")
    }
    let threads = Threads.count
    defer { Threads.count = threads }
    Threads.count = 1
    #expect(product(kernels, x, weight, bias: bias, activation: .silu).isIdentical(to: all), "\(format) \(kernels)")
  }

  @Test(arguments: formats)
  func theWaysToMultiplyBytesAgreeToTheBit(_ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 18)
    let x = numbers.tensor(11, 1024).sign(), weight = QuantizedMatrix.sketch(format, rows: 100, columns: 1024, seed: 5)
    for kernels in Kernels.variants {
      for other in Kernels.variants where other.name == kernels.name {
        #expect(product(kernels, x, weight).isIdentical(to: product(other, x, weight)), "\(format) \(kernels)")
      }
    }
  }

  /// Sums of 16 bits have no room to spare: the greatest codes meet the greatest activations, all of one sign. (127 is its own
  /// code: rounding errors of one sign would add up.)
  @Test(arguments: Kernels.variants, formats)
  func theGreatestCodesAndActivationsOverflowNothing(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    for byte in [0x00, 0x7F, 0x80, 0xFF] as [UInt8] {
      let weight = QuantizedMatrix.sketch(format, rows: 19, columns: 256, repeating: byte)
      for (rows, value) in [(1, 127), (1, -127), (9, 127), (9, -127)] as [(Int, Float)] {
        let x = Tensor(full: [rows, 256], value), what = "\(format) of \(byte), \(rows) rows of \(value) \(kernels)"
        ProductReference(x, weight.dequantized()).expect(product(kernels, x, weight), what)
      }
    }
  }

  @Test(arguments: Kernels.variants, formats)
  func aPartOfTheColumnsMayEndWithinABlock(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 19)
    let weight = QuantizedMatrix.sketch(format, rows: 19, columns: 768, seed: 9), wide = weight.dequantized()
    for part in [0..<1, 0..<47, 256..<511, 256..<768, 512..<600, 0..<0] {
      for rows in [1, 3, 16, 20] {
        let x = numbers.tensor(rows, part.count)
        let reference = ProductReference(rounded(x), wide.narrow(1, from: part.lowerBound, count: part.count))
        reference.expect(product(kernels, x, weight, columns: part), "\(rows) rows, columns \(part) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.variants, formats)
  func whatIsNotFiniteStaysInItsRowAndZerosGiveTheBias(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    let weight = QuantizedMatrix.sketch(format, rows: 33, columns: 512, seed: 6)
    for bad in [Float.nan, .infinity, -.infinity] {
      var values = [Float](repeating: 0.5, count: 3 * 512)
      values[512 + 300] = bad
      let result = product(kernels, Tensor(scalars: values, shape: [3, 512]), weight)
      let finite = result.scalars(as: Float.self).map(\.isFinite)
      #expect(finite == (0..<99).map { $0 / 33 != 1 }, "\(bad) \(format) \(kernels)")
    }
    let bias = Tensor(scalars: (0..<33).map(Float.init), shape: [33])
    for small in [0, 1e-35, -Float.leastNonzeroMagnitude] {
      let x = Tensor(scalars: [Float](repeating: small, count: 512), shape: [1, 512])
      #expect(product(kernels, x, weight, bias: bias).isIdentical(to: bias.reshaped([1, 33])), "\(small) \(kernels)")
    }
  }

  @Test func onlyInt8RoundsToEightBits() {
    var numbers = TestNumbers(seed: 20)
    let x = numbers.tensor(5, 256), weight = QuantizedMatrix.sketch(.q8_0, rows: 9, columns: 256, seed: 7)
    for kernels in Kernels.available {
      let exact = Kernels.with(kernels) { Tensor.linear(x, weight: weight.dequantized()) }
      #expect(product(kernels, x, weight, .float).isIdentical(to: exact))
      #expect(!product(kernels, x, weight, .int8).isIdentical(to: exact))
    }
  }

  @Test(arguments: formats)
  func narrowIntegersLeaveEightBitsAsTheyAre(_ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 21)
    let x = numbers.tensor(5, 256), weight = QuantizedMatrix.sketch(format, rows: 9, columns: 256, seed: 8)
    for kernels in Kernels.available {
      let narrow = product(kernels, x, weight, .int8Narrow), same: ComputePrecision = format == .q8_0 ? .bf16 : .int8
      #expect(narrow.isIdentical(to: product(kernels, x, weight, same)), "\(format) \(kernels)")
    }
  }

  @Test func thePrecisionOfATaskGoesBeforeThatOfTheProgram() {
    let before = ComputePrecision.standard
    #expect(before == ComputePrecision.automatic)
    ComputePrecision.with(.float) {
      #expect(ComputePrecision.current == .float)
      ComputePrecision.with(.int8) { #expect(ComputePrecision.current == .int8) }
    }
    #expect(ComputePrecision.current == before)
  }
}
