import Foundation
import Tensor
import TestSupport
import Testing

/// Operators, comparisons and selection against naive loops over broadcast indices.
@Suite struct ArithmeticTests {
  static let shapes: [([Int], [Int], [Int])] = [
    ([5], [5], [5]), ([0], [0], [0]), ([2, 300], [300], [2, 300]), ([3, 1], [1, 4], [3, 4]),
    ([7, 1], [7, 1030], [7, 1030]), ([2, 3, 4], [3, 1], [2, 3, 4]), ([], [2, 2], [2, 2]),
    ([2, 1, 5, 1], [3, 1, 17], [2, 3, 5, 17]), ([1], [1], [1]), ([4, 0], [1, 1], [4, 0]),
  ]

  @Test(arguments: Kernels.available) func operatorsBroadcast(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for (first, second, result) in Self.shapes {
        let a = Tensor(Naive.values(first.reduce(1, *)), shape: first)
        let b = Tensor(Naive.values(second.reduce(1, *), seed: 9), shape: second)
        check(a + b, a, b, result, +)
        check(a - b, a, b, result, -)
        check(a * b, a, b, result, *)
        check(a / b, a, b, result, /)
        check(a.minimum(b), a, b, result, Swift.min)
        check(a.maximum(b), a, b, result, Swift.max)
        check(a.absolute().power(b), a.absolute(), b, result, Foundation.pow)
        check(a.less(than: b), a, b, result) { $0 < $1 ? 1 : 0 }
        check(b.greaterOrEqual(to: a), b, a, result) { $0 >= $1 ? 1 : 0 }
        check(Tensor.where(a.less(than: b), a, b), a, b, result, Swift.min)
      }
    }
  }

  private func check(
    _ actual: Tensor, _ a: Tensor, _ b: Tensor, _ shape: [Int], _ body: (Double, Double) -> Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(actual.shape == shape, sourceLocation: sourceLocation)
    let expected = Naive.broadcast(a, b, to: shape, body)
    for (value, exact) in zip(Naive.doubles(actual), expected) where value != exact {
      let close = Naive.ulps(Float(value), exact) <= 0.51
      #expect(close, "\(value), expected \(exact), shapes \(a.shape) \(b.shape)", sourceLocation: sourceLocation)
      if !close { return }
    }
  }

  @Test(arguments: Kernels.available) func stridedOperandsGiveWhatPackedOnesGive(_ kernels: Kernels) {
    let x = Naive.tensor(6, 40, 3, 8), row = Naive.tensor(8, seed: 3)
    let views = [
      x, x.permuted(3, 1, 0, 2), x.flipped(1, 3), x[1..., .every(3), 1...], x.transposed(0, 1)[.all, .all, 0],
      x[.all, .all, .all, 3], x[0, 0, 0].unsqueezed(0).broadcast(to: [300, 8]),
    ]
    Kernels.with(kernels) {
      for view in views {
        let packed = view.copied()
        #expect((view * view + view).floats == (packed * packed + packed).floats)
        #expect((2 - view).floats == (2 - packed).floats)
        #expect((view / 3).floats == (packed / 3).floats)
        if view.shape.last == 8 { #expect((view - row).floats == (packed - row).floats) }
      }
    }
  }

  @Test func fusedFormsAreTheirDefinitions() {
    let x = Naive.tensor(2, 5, 33), scale = Naive.tensor(2, 1, 33, seed: 2), shift = Naive.tensor(33, seed: 3)
    let tolerance = Tolerance(absolute: 2e-6)
    expectClose(x.modulated(scale: scale, shift: shift), x * (1 + scale) + shift, tolerance)
    expectClose(x.multiplyAdd(scale, shift), x * scale + shift, tolerance)
    expectClose(x.adding(x, gatedBy: scale), x + scale * x, tolerance)
    #expect(x.clamped(min: -1, max: 0.5).floats == x.floats.map { Swift.min(Swift.max($0, -1), 0.5) })
    #expect(Tensor(scalars: [Int32(-9), 2, 300]).clamped(max: 255).scalars(as: Int32.self) == [-9, 2, 255])
    #expect(Tensor([4, 9]).power(0.5).floats == [2, 3])
    #expect(Tensor(scalars: [Int64(3)]).power(2).dtype == .f32)
  }

  @Test func inPlaceOperatorsWriteOnlyWhatNobodyElseSees() {
    var x = Naive.tensor(4, 5)
    let before = x, values = x.floats
    let address = { (tensor: Tensor) in UInt(bitPattern: tensor.rawPointer) }
    x += 1
    #expect(before.floats == values && x.floats == values.map { $0 + 1 })
    let place = address(x)
    x *= Tensor([2, 2, 2, 2, 2])
    x -= 1
    #expect(address(x) == place)
    x += x
    #expect(x.floats == values.map { (($0 + 1) * 2 - 1) * 2 })
    var narrow = Tensor([1, 2], shape: [2, 1])
    narrow += Tensor([10, 20])
    #expect(narrow.floats == [11, 21, 12, 22])
    var integers = Tensor(scalars: [Int32(1), 2])
    integers /= 2
    #expect(integers.dtype == .f32 && integers.floats == [0.5, 1])
  }

  @Test func typesPromoteAsInTorch() {
    let types: [(DType, DType, DType)] = [
      (.bf16, .bf16, .bf16), (.bf16, .f16, .f32), (.f32, .bf16, .f32), (.f64, .bf16, .f64), (.i64, .f16, .f16),
      (.bool, .i8, .i8), (.u8, .i8, .i16), (.u8, .i32, .i32), (.u32, .i32, .i64), (.u64, .i64, .f32),
      (.bool, .bool, .bool),
      (.i32, .f64, .f64), (.u8, .u16, .u16),
    ]
    for (a, b, expected) in types {
      let x = Tensor(ones: [2], dtype: a), y = Tensor(ones: [2], dtype: b)
      #expect((x * y).dtype == expected && (y * x).dtype == expected, "\(a) \(b)")
    }
    #expect((Tensor(ones: [1], dtype: .i32) / Tensor(ones: [1], dtype: .i32)).dtype == .f32)
    #expect((Tensor(ones: [1], dtype: .bf16) + 1).dtype == .bf16)
    #expect((Tensor(ones: [1], dtype: .f64) + 0.5).scalars(as: Double.self) == [1.5])
  }

  @Test func integersComputeIn64BitsAndWrap() {
    let large = Tensor(scalars: [Int64.max, (1 << 53) + 1])
    #expect((large + Tensor(scalars: [Int64(1), 2])).scalars(as: Int64.self) == [Int64.min, (1 << 53) + 3])
    #expect(large.greater(than: Tensor(scalars: [Int64.max - 1, 1 << 53])).scalars(as: Bool.self) == [true, true])
    let bytes = Tensor(scalars: [UInt8(200), 100])
    #expect((bytes + bytes).scalars(as: UInt8.self) == [144, 200])
  }

  @Test func nanTravels() {
    let x = Tensor([.nan, 1, .infinity]), y = Tensor([1, .nan, -.infinity])
    #expect(x.maximum(y).floats[..<2].allSatisfy { $0.isNaN } && x.minimum(y).floats[..<2].allSatisfy { $0.isNaN })
    #expect(x.clamped(min: 0, max: 1).floats[0].isNaN && x.relu().floats[0].isNaN)
    #expect(x.equal(to: x).scalars(as: Bool.self) == [false, true, true])
    #expect(x.notEqual(to: x).scalars(as: Bool.self) == [true, false, false])
    #expect(x.isNaN().scalars(as: Bool.self) == [true, false, false])
    #expect(x.isFinite().scalars(as: Bool.self) == [false, true, false])
  }

  @Test func logicTakesAnyValueButZeroAsTrue() {
    let a = Tensor([0, 0, 2, -1]), b = Tensor(scalars: [false, true, false, true])
    #expect(a.logicalAnd(b).scalars(as: Bool.self) == [false, false, false, true])
    #expect(a.logicalOr(b).scalars(as: Bool.self) == [false, true, true, true])
    #expect(a.logicalXor(b).scalars(as: Bool.self) == [false, true, true, false])
    #expect(a.logicalNot().scalars(as: Bool.self) == [true, true, false, false])
    #expect(a.filled(where: b, with: 7).floats == [0, 7, 2, 7])
    #expect(a.lessOrEqual(to: 0).scalars(as: Bool.self) == [true, true, false, true])
  }

  @Test func mistakesNameTheShapes() async throws {
    let sum = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]) + Tensor(zeros: [3, 2])
      })
    #expect(String(decoding: sum.standardErrorContent, as: UTF8.self).contains("+: shapes [2, 3] and [3, 2] do not"))
    let condition = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.where(Tensor(zeros: [2]), Tensor(0), Tensor(1))
      })
    #expect(String(decoding: condition.standardErrorContent, as: UTF8.self).contains("shape [2], is f32, not bool"))
  }
}
