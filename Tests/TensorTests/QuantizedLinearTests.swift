import Tensor
import TestSupport
import Testing

@Suite struct QuantizedLinearTests {
  /// Blocks of every code there is; scales are small numbers, as in a file.
  static func matrix(_ format: QuantizedMatrix.Format, rows: Int, columns: Int, seed: UInt64) -> QuantizedMatrix {
    let count = rows * columns / format.blockSize * format.blockBytes
    var state = seed
    var bytes = (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 56)
    }
    let scales: [Int] =
      switch format {
      case .q4_0, .q5_0, .q8_0: [0]
      case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
      case .q2_K: [80, 82]
      case .q3_K: [108]
      case .q6_K: [208]
      }
    for block in stride(from: 0, to: count, by: format.blockBytes) {
      // Halves between 2^-7 and 2^-3, of either sign.
      for at in scales { bytes[block + at + 1] = bytes[block + at + 1] & 0x8F | 0x20 }
    }
    let tensor = Tensor(scalars: bytes, shape: [count])
    return QuantizedMatrix(format: format, shape: [rows, columns], storage: tensor.storage)
  }

  @Test(arguments: Kernels.available, QuantizedMatrix.Format.allCases)
  func everyRowHasTheBitsOfAProductWithTheUnpackedMatrix(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 5)
    for (columns, depth) in [(1, 256), (7, 512), (17, 256), (53, 768)] {
      let weight = Self.matrix(format, rows: columns, columns: depth, seed: UInt64(columns))
      let wide = weight.dequantized(), bias = numbers.tensor(columns), x = numbers.tensor(33, depth)
      for precision in ComputePrecision.allCases {
        Kernels.with(kernels) {
          ComputePrecision.with(precision) {
            let unpacked = roundsBlocks(format) ? wide.converted(to: .bf16) : wide
            let expected = Tensor.linear(x, weight: unpacked, bias: bias, activation: .silu)
            for rows in Array(1...17) + [33] {
              let some = LinearInput(x.narrow(0, from: 0, count: rows))
              let result = Tensor.linear([some], weight: weight, bias: bias, activation: .silu)[0]
              #expect(
                result.isIdentical(to: expected.narrow(0, from: 0, count: rows)),
                "\(rows)x\(depth)x\(columns) \(kernels) \(precision)")
            }
          }
        }
      }
    }
  }

  /// Tiles multiply blocks that the kernels read themselves rounded to bf16.
  private func roundsBlocks(_ format: QuantizedMatrix.Format) -> Bool {
    Kernels.current.name == "amx" && ComputePrecision.current == .bf16
      && [.q8_0, .q4_0, .q4_K, .q5_K, .q6_K].contains(format)
  }

  @Test(arguments: Kernels.available, [QuantizedMatrix.Format.q8_0, .q4_0, .q4_K, .q5_K, .q6_K, .q5_1])
  func aPartOfTheColumnsMayEndOrBeginWithinABlock(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 6)
    let weight = Self.matrix(format, rows: 19, columns: 768, seed: 9), wide = weight.dequantized()
    for part in [0..<1, 0..<47, 256..<511, 256..<768, 33..<600, 0..<0] {
      for rows in [1, 3, 16, 20] {
        let x = numbers.tensor(rows, part.count)
        let (result, expected) = Kernels.with(kernels) {
          let rounds = roundsBlocks(format) && part.lowerBound % format.blockSize == 0
          let unpacked = (rounds ? wide.converted(to: .bf16) : wide).narrow(1, from: part.lowerBound, count: part.count)
          return (
            Tensor.linear([LinearInput(x)], weight: weight, columns: part)[0], Tensor.linear(x, weight: unpacked)
          )
        }
        #expect(result.isIdentical(to: expected), "\(rows) rows, columns \(part) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func fewRowsHaveTheBitsTheyHaveAmongMany(_ kernels: Kernels, _ dtype: DType) {
    var numbers = TestNumbers(seed: 7)
    for (depth, columns) in [(1, 3), (31, 9), (193, 17), (391, 49), (400, 8)] {
      let x = numbers.tensor(40, depth), weight = numbers.tensor(columns, depth, dtype: dtype)
      let all = Kernels.with(kernels) { Tensor.linear(x, weight: weight) }
      for rows in 1...17 {
        let few = Kernels.with(kernels) { Tensor.linear(x.narrow(0, from: 3, count: rows), weight: weight) }
        #expect(
          few.isIdentical(to: all.narrow(0, from: 3, count: rows)), "\(rows)x\(depth)x\(columns) \(dtype) \(kernels)")
      }
    }
  }
}
