import Tensor
import TestSupport
import Testing

/// Laws of the generator beside the values that the golden case pins.
@Suite struct RandomTests {
  @Test func copiesContinueIndependently() {
    var original = Generator(seed: 7)
    _ = original.randn([3])  // leaves the second half of a pair behind
    var copy = original
    #expect(copy == original)
    let first = copy.randn([5]).floats
    #expect(copy != original)
    #expect(original.randn([5]).floats == first)
    #expect(copy == original)
  }

  @Test func onlyTheLowerHalfOfTheSeedCounts() {
    var a = Generator(seed: 5), b = Generator(seed: 5 + 1 << 32), c = Generator(seed: 6)
    let values = a.rand([4]).floats
    #expect(b.rand([4]).floats == values)
    #expect(c.rand([4]).floats != values)
  }

  @Test func uniformDrawsContinueWhereTheLastEnded() {
    var whole = Generator(seed: 1), parts = Generator(seed: 1)
    let all = whole.rand([2, 1000]).floats
    #expect(parts.rand([700]).floats + parts.rand([1300]).floats == all)
  }

  @Test func shortNormalDrawsShareAPair() {
    var whole = Generator(seed: 3), parts = Generator(seed: 3)
    let pair = whole.randn([2]).floats
    #expect(parts.randn([]).floats + parts.randn([1]).floats == pair)
  }

  @Test func wholeBlocksDoNotDependOnTheTail() {
    var a = Generator(seed: 11), b = Generator(seed: 11)
    #expect(a.randn([40])[..<24].floats == b.randn([32])[..<24].floats)
  }

  @Test(arguments: [16, 48, 1600]) func narrowTypesAreRoundedSinglePrecision(count: Int) {
    for dtype in [DType.bf16, .f16] {
      var wide = Generator(seed: 9), narrow = Generator(seed: 9)
      #expect(narrow.randn([count], dtype: dtype).bytes == wide.randn([count]).converted(to: dtype).bytes)
    }
  }

  @Test(arguments: [DType.f32, .f64, .bf16, .f16]) func normalValuesHaveMeanAndDeviation(_ dtype: DType) {
    var generator = Generator(seed: 2)
    let values = generator.normal([50_001], mean: 3, standardDeviation: 0.5, dtype: dtype).floats.map(Double.init)
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    #expect(abs(mean - 3) < 0.01)
    #expect(abs(variance.squareRoot() - 0.5) < 0.01)
    #expect(generator.normal([20], mean: 3, standardDeviation: 0, dtype: dtype).floats.allSatisfy { $0 == 3 })
  }

  @Test(arguments: [DType.f32, .f64, .bf16, .f16]) func uniformValuesStayBelowTheUpperEnd(_ dtype: DType) {
    var generator = Generator(seed: 4)
    let values = generator.uniform([40_000], low: -2, high: 3, dtype: dtype).floats
    #expect(values.allSatisfy { $0 >= -2 && $0 < 3 })
    let mean = values.reduce(0.0) { $0 + Double($1) } / 40_000
    #expect(abs(mean - 0.5) < 0.03)
  }

  @Test func integersCoverTheirRange() {
    var generator = Generator(seed: 5)
    let small = generator.randint([2000], low: -3, high: 4).scalars(as: Int.self)
    #expect(Set(small) == Set(-3...3))
    let large = generator.randint([2000], low: .min, high: .max).scalars(as: Int.self)
    #expect(large.contains { $0 < -(1 << 62) } && large.contains { $0 > 1 << 62 })
    let bytes = generator.randint([3000], high: 256, dtype: .u8).scalars(as: UInt8.self)
    #expect(Set(bytes).count == 256)
  }

  @Test func permutationsHoldEveryNumberOnce() {
    var generator = Generator(seed: 6)
    for count in [0, 1, 2, 1000] {
      #expect(generator.randperm(count).scalars(as: Int.self).sorted() == Array(0..<count))
    }
    #expect(generator.randperm(1000).scalars(as: Int.self) != Array(0..<1000))
  }

  @Test func emptyDrawsTakeNothing() {
    var generator = Generator(seed: 8)
    let untouched = generator
    #expect(generator.randn([0, 3]).shape == [0, 3])
    #expect(generator.rand([2, 0], dtype: .bf16).count == 0)
    #expect(generator == untouched)
  }

  @Test func impossibleRequestsAreNamed() async {
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var generator = Generator(seed: 0)
      _ = generator.randint([2], high: 300, dtype: .u8)
    }.map { expectTrapText($0, "u8 does not hold the numbers from 0 to 299") }
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var generator = Generator(seed: 0)
      _ = generator.randn([20], dtype: .i32)
    }.map { expectTrapText($0, "dtype i32 of shape [20]") }
  }
}
