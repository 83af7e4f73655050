import Tensor
import TestSupport
import Testing

@Suite struct QuantizedLinearTests {
  private func withFloats<Result>(_ kernels: Kernels, _ body: () -> Result) -> Result {
    Kernels.with(kernels) { ComputePrecision.with(.float, body) }
  }

  @Test(arguments: Kernels.variants, QuantizedMatrix.Format.allCases)
  func everyRowHasTheBitsOfAProductWithTheUnpackedMatrix(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 5)
    for (columns, depth) in [(1, 256), (7, 512), (17, 256), (53, 768)] {
      let weight = QuantizedMatrix.sketch(format, rows: columns, columns: depth, seed: UInt64(columns))
      let wide = weight.dequantized(), bias = numbers.tensor(columns), x = numbers.tensor(33, depth)
      withFloats(kernels) {
        let expected = Tensor.linear(x, weight: wide, bias: bias, activation: .silu)
        for rows in Array(1...25) + [33] {
          let some = LinearInput(x.narrow(0, from: 0, count: rows))
          let result = Tensor.linear([some], weight: weight, bias: bias, activation: .silu)[0]
          #expect(
            result.isIdentical(to: expected.narrow(0, from: 0, count: rows)), "\(rows)x\(depth)x\(columns) \(kernels)")
        }
      }
    }
  }

  /// Tiles multiply blocks that begin where the columns do rounded to bf16, as they are unpacked.
  @Test(
    .enabled(if: Kernels.named("amx") != nil), arguments: [QuantizedMatrix.Format.q8_0, .q4_0, .q4_K, .q5_K, .q6_K])
  func tilesHaveTheBitsOfAProductWithTheRoundedMatrix(_ format: QuantizedMatrix.Format) throws {
    let kernels = try #require(Kernels.named("amx"))
    var numbers = TestNumbers(seed: 8)
    for (columns, depth) in [(7, 512), (53, 1280)] {
      let weight = QuantizedMatrix.sketch(format, rows: columns, columns: depth, seed: UInt64(columns))
      let rounded = weight.dequantized().converted(to: .bf16), x = numbers.tensor(70, depth)
      for (part, rows) in [(0..<depth, 1), (0..<depth, 33), (0..<depth, 70), (256..<depth - 3, 17)] {
        let some = x.narrow(0, from: 0, count: rows).narrow(1, from: 0, count: part.count)
        let (result, expected) = Kernels.with(kernels) {
          ComputePrecision.with(.bf16) {
            (
              Tensor.linear([LinearInput(some)], weight: weight, columns: part)[0],
              Tensor.linear(some, weight: rounded.narrow(1, from: part.lowerBound, count: part.count))
            )
          }
        }
        #expect(result.isIdentical(to: expected), "\(rows) rows, columns \(part) of \(columns)x\(depth)")
      }
    }
  }

  @Test(arguments: Kernels.available, [QuantizedMatrix.Format.q8_0, .q4_0, .q4_K, .q5_K, .q6_K, .q5_1])
  func aPartOfTheColumnsMayEndOrBeginWithinABlock(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    var numbers = TestNumbers(seed: 6)
    let weight = QuantizedMatrix.sketch(format, rows: 19, columns: 768, seed: 9), wide = weight.dequantized()
    for part in [0..<1, 0..<47, 256..<511, 256..<768, 33..<600, 0..<0] {
      for rows in [1, 3, 16, 20] {
        let x = numbers.tensor(rows, part.count)
        let (result, expected) = withFloats(kernels) {
          (
            Tensor.linear([LinearInput(x)], weight: weight, columns: part)[0],
            Tensor.linear(x, weight: wide.narrow(1, from: part.lowerBound, count: part.count))
          )
        }
        #expect(result.isIdentical(to: expected), "\(rows) rows, columns \(part) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.variants, [DType.f32, .bf16, .f16])
  func fewRowsHaveTheBitsTheyHaveAmongMany(_ kernels: Kernels, _ dtype: DType) {
    var numbers = TestNumbers(seed: 7)
    let shapes = [
      (1, 3), (31, 9), (193, 17), (390, 49), (391, 49), (400, 8), (583, 17), (960, 5), (962, 83), (1153, 33),
    ]
    for (depth, columns) in shapes {
      let x = numbers.tensor(40, depth), weight = numbers.tensor(columns, depth, dtype: dtype)
      let all = Kernels.with(kernels) { Tensor.linear(x, weight: weight) }
      for rows in 1...25 {
        let few = Kernels.with(kernels) { Tensor.linear(x.narrow(0, from: 3, count: rows), weight: weight) }
        #expect(
          few.isIdentical(to: all.narrow(0, from: 3, count: rows)), "\(rows)x\(depth)x\(columns) \(dtype) \(kernels)")
      }
    }
  }
}
