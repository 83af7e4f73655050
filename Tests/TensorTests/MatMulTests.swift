import Tensor
import TestSupport
import Testing

@Suite struct MatMulTests {
  @Test(arguments: Kernels.available)
  func everyMixOfFloatTypesAccumulatesInSinglePrecision(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 11)
    for left in [DType.f32, .bf16, .f16] {
      for right in [DType.f32, .bf16, .f16] {
        let a = numbers.tensor(13, 205, dtype: left), b = numbers.tensor(205, 57, dtype: right)
        let result = Kernels.with(kernels) { Tensor.matmul(a, b) }
        #expect(result.dtype == .f32 && result.shape == [13, 57])
        ProductReference(a, b.transposed()).expect(
          result, operandsRounded: left == .f32 && right == .bf16, "\(left) \(right) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.available)
  func batchesBroadcast(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 12)
    let shapes: [(a: [Int], b: [Int], result: [Int])] = [
      ([2, 3, 4, 5], [2, 3, 5, 6], [2, 3, 4, 6]), ([3, 4, 5], [5, 6], [3, 4, 6]), ([4, 5], [3, 5, 6], [3, 4, 6]),
      ([2, 1, 4, 5], [3, 5, 6], [2, 3, 4, 6]), ([0, 4, 5], [5, 6], [0, 4, 6]), ([2, 4, 0], [2, 0, 6], [2, 4, 6]),
      ([1, 1, 7], [9, 7, 1], [9, 1, 1]),
    ]
    for (left, right, shape) in shapes {
      let a = numbers.tensor(left), b = numbers.tensor(right)
      let result = Kernels.with(kernels) { Tensor.matmul(a, b) }
      #expect(result.shape == shape)
      let batch = Array(shape.dropLast(2)), count = batch.reduce(1, *)
      let wideA = a.broadcast(to: batch + left.suffix(2)).reshaped([count] + left.suffix(2))
      let wideB = b.broadcast(to: batch + right.suffix(2)).reshaped([count] + right.suffix(2))
      var reference = ProductReference()
      for index in 0..<count {
        let some = ProductReference(wideA[index], wideB[index].transposed())
        for (value, magnitude) in zip(some.values, some.magnitudes) { reference.append(value, magnitude: magnitude) }
      }
      reference.expect(result, "\(left) \(right) \(kernels)")
    }
  }

  @Test(arguments: Kernels.available)
  func viewsGiveTheBitsOfTheirCopies(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 13)
    let q = numbers.tensor(2, 33, 3, 20).transposed(1, 2), k = numbers.tensor(2, 41, 3, 20).transposed(1, 2)
    Kernels.with(kernels) {
      let views = Tensor.matmul(q, k.transposed()).floats
      #expect(views == Tensor.matmul(q.contiguous(), k.transposed().contiguous()).floats)
      let flipped = Tensor.matmul(q.flipped(3), k.flipped(3).transposed())
      expectClose(flipped, Tensor.matmul(q, k.transposed()), Tolerance(absolute: 1e-5))
    }
  }

  @Test func vectorsLoseTheirAxis() {
    let a = Tensor([1, 2, 3]), m = Tensor([1, 0, 0, 1, 1, 1], shape: [3, 2])
    #expect(Tensor.matmul(a, a).shape == [] && Tensor.matmul(a, a).item == 14)
    #expect(Tensor.matmul(a, m).floats == [4, 5])
    #expect(Tensor.matmul(m.transposed(), a).floats == [4, 5])
  }

  @Test func doublesAndIntegersKeepTheirPrecision() {
    let third = Tensor(scalars: [1.0 / 3, 1e-12], shape: [1, 2]), ones = Tensor(scalars: [1.0, 1.0], shape: [2, 1])
    #expect(Tensor.matmul(third, ones).scalars(as: Double.self) == [1.0 / 3 + 1e-12])
    #expect(Tensor.matmul(third, Tensor(ones: [2, 1])).dtype == .f64)
    let big = Tensor(scalars: [1 << 40, 3], shape: [1, 2]), small = Tensor(scalars: [5, 7], shape: [2, 1])
    #expect(Tensor.matmul(big, small).scalars(as: Int64.self) == [5 << 40 + 21])
    #expect(Tensor.matmul(Tensor(zeros: [2, 0], dtype: .f64), Tensor(zeros: [0, 1], dtype: .f64)).floats == [0, 0])
  }

  @Test func mistakesNameTheShapes() async throws {
    let depth = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.matmul(Tensor(zeros: [2, 3]), Tensor(zeros: [4, 5]))
      })
    #expect(depth.standardErrorText.contains("matmul: shapes [2, 3] and [4, 5] do not chain"))
    let batch = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.matmul(Tensor(zeros: [2, 3, 4]), Tensor(zeros: [3, 4, 5]))
      })
    #expect(batch.standardErrorText.contains("matmul") && batch.standardErrorText.contains("[3]"))
  }
}
