import Foundation
import Tensor
import TestSupport
import Testing

/// Reductions and running sums against naive f64 loops, over every set of axes of differently laid out tensors.
@Suite struct ReductionTests {
  static let views: [Tensor] = [
    Naive.tensor(3, 4, 5), Naive.tensor(5, 4, 3).transposed(0, 2), Naive.tensor(2, 300, 9), Naive.tensor(9, 300, 2),
    Naive.tensor(6, 8, 10).flipped(1)[.every(2), 1..., .every(3)], Naive.tensor(1, 2100, 1), Naive.tensor(2, 1, 1300),
    Naive.tensor(7).unsqueezed(0).unsqueezed(0).broadcast(to: [2, 3, 7]),
  ]
  static let axisSets: [[Int]] = [[], [0], [1], [2], [0, 1], [1, 2], [0, -1], [0, 1, 2]]

  /// The elements each output is made of, in order.
  private func groups(_ x: Tensor, _ axes: [Int]) -> (shape: [Int], groups: [[Double]]) {
    let gone = axes.isEmpty ? Array(x.shape.indices) : axes.map { $0 < 0 ? $0 + x.rank : $0 }.sorted()
    let kept = x.shape.indices.filter { !gone.contains($0) }
    let outputs = kept.map { x.shape[$0] }.reduce(1, *)
    let packed = Naive.doubles(x.permuted(kept + gone)), length = packed.count / max(outputs, 1)
    return (kept.map { x.shape[$0] }, (0..<outputs).map { Array(packed[($0 * length)..<(($0 + 1) * length)]) })
  }

  private static func variance(_ x: [Double], correction: Double) -> Double {
    let mean = x.reduce(0, +) / Double(x.count)
    return x.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / (Double(x.count) - correction)
  }

  @Test(arguments: Kernels.available, axisSets) func agreeWithNaiveLoops(_ kernels: Kernels, _ axes: [Int]) {
    Kernels.with(kernels) {
      for x in Self.views {
        let (shape, parts) = groups(x, axes)
        func check(_ actual: Tensor, _ what: String, _ body: ([Double]) -> Double) {
          #expect(actual.shape == shape, "\(what) of \(x.shape) over \(axes)")
          expectClose(
            Naive.doubles(actual), parts.map(body), Tolerance(absolute: 1e-7, relativeToMax: 3e-7),
            "\(what) of \(x.shape) over \(axes)", shape: shape)
        }
        check(x.sum(axes), "sum") { $0.reduce(0, +) }
        check(x.mean(axes), "mean") { $0.reduce(0, +) / Double($0.count) }
        check(x.variance(axes, unbiased: false), "variance") { Self.variance($0, correction: 0) }
        check(x.product(axes), "product") { $0.reduce(1, *) }
        check(x.amin(axes), "amin") { $0.min() ?? .nan }
        check(x.amax(axes), "amax") { $0.max() ?? .nan }
        check(x.less(than: -1.9).any(axes), "any") { $0.contains { $0 < Double(Float(-1.9)) } ? 1 : 0 }
        check(x.greater(than: -1.9).all(axes), "all") { $0.allSatisfy { $0 > Double(Float(-1.9)) } ? 1 : 0 }
        if axes.count <= 1 {
          check(x.argmax(axes.first), "argmax") { Double($0.firstIndex(of: $0.max() ?? 0) ?? -1) }
          check(x.argmin(axes.first), "argmin") { Double($0.firstIndex(of: $0.min() ?? 0) ?? -1) }
        }
      }
    }
  }

  @Test(arguments: Kernels.available) func otherTypesAreReducedInTheirOwn(_ kernels: Kernels) {
    Kernels.with(kernels) {
      let integers = Tensor(scalars: (0..<3000).map { Int64($0) * 1_000_000_007_000 - 1 << 50 }, shape: [30, 100])
      let exact = integers.scalars(as: Int64.self)
      #expect(integers.sum().scalars(as: Int64.self) == [exact.reduce(0, &+)])
      #expect(integers.amax(0).scalars(as: Int64.self) == Array(exact.suffix(100)))
      #expect(integers.argmin(1).scalars(as: Int64.self) == [Int64](repeating: 0, count: 30))
      #expect(Tensor(scalars: [true, false, true]).sum().scalars(as: Int64.self) == [2])
      #expect(Tensor(scalars: [Int32(1), 2]).mean().floats == [1.5])
      let doubles = Tensor(scalars: (0..<500).map { 1 + Double($0) * 1e-12 }, shape: [5, 100])
      #expect(abs(doubles.mean().scalars(as: Double.self)[0] - (1 + 249.5e-12)) < 1e-15)
      #expect(doubles.argmax(1).floats == [99, 99, 99, 99, 99])
      let half = Naive.tensor(40, 70).converted(to: .bf16)
      #expect(half.sum(0).dtype == .bf16)
      #expect(half.sum(0).floats == half.converted(to: .f32).sum(0).converted(to: .bf16).floats)
    }
  }

  @Test func largeSumsLoseNothing() {
    // 10 million times 0.1 in f32 arithmetic drifts to 1 087 937.
    let x = Tensor(full: [10_000_000], 0.1)
    #expect(abs(x.sum().item - 1_000_000) < 0.1)
    #expect(abs(x.reshaped(2_500_000, 4).sum(0).floats[1] - 250_000) < 0.03)
    // The variance of a small spread around a large mean.
    let shifted = Tensor((0..<100_000).map { 4096 + Float($0 % 2) })
    #expect(abs(shifted.variance(unbiased: false).item - 0.25) < 1e-6)
    #expect(abs(shifted.standardDeviation(unbiased: false).item - 0.5) < 1e-6)
  }

  @Test func nanWinsAndTiesTakeTheFirst() {
    let x = Tensor([1, .nan, 3, .nan, 3, 0, 3, 2], shape: [2, 4])
    #expect(x.argmax(1).floats == [1, 0] && x.argmin(1).floats == [1, 1])
    #expect(x.amax(1).floats[0].isNaN && x.amax(1).floats[1] == 3)
    #expect(x.argmax(0).floats == [1, 0, 0, 0])
    #expect(x.argmax().item == 1)
    var long = Tensor(zeros: [200_000])
    long[150_000] = Tensor(.nan)
    #expect(long.argmin().item == 150_000 && long.amin().item.isNaN)
  }

  @Test func emptyAndSingleElementsFollowTorch() {
    let empty = Tensor(zeros: [0, 3])
    #expect(empty.sum(0).floats == [0, 0, 0] && empty.product(0).floats == [1, 1, 1])
    #expect(empty.sum(1).shape == [0] && empty.amax(1).shape == [0])
    #expect(empty.mean(0).floats.allSatisfy { $0.isNaN })
    #expect(empty.all().scalars(as: Bool.self) == [true] && empty.any().scalars(as: Bool.self) == [false])
    #expect(Tensor(5).sum().item == 5 && Tensor(5).variance().item.isNaN)
    #expect(Naive.tensor(2, 3, 4).sum(1, keepDims: true).shape == [2, 1, 4])
    #expect(Naive.tensor(2, 3).argmax(keepDims: true).shape == [1, 1])
  }

  @Test func runningValuesFollowTheirAxis() {
    let x = Naive.tensor(3, 50, 4), values = x.permuted(0, 2, 1).floats
    let sums = x.cumulativeSum(1).permuted(0, 2, 1).floats, products = x.cumulativeProduct(1).permuted(0, 2, 1).floats
    let largest = x.cumulativeMax(1).permuted(0, 2, 1).floats
    for row in 0..<12 {
      var sum = 0.0, product = 1.0, top = -Float.infinity
      for index in (row * 50)..<(row * 50 + 50) {
        sum += Double(values[index])
        product *= Double(values[index])
        top = max(top, values[index])
        #expect(sums[index] == Float(sum) && products[index] == Float(product) && largest[index] == top)
      }
    }
    #expect(Tensor(scalars: [true, true, false]).cumulativeSum(0).scalars(as: Int64.self) == [1, 2, 2])
    #expect(Tensor(zeros: [0, 2]).cumulativeSum(0).shape == [0, 2])
    #expect(Tensor([1, .nan, 2]).cumulativeMax(0).floats[2].isNaN)
  }

  @Test func mistakesNameTheShape() async throws {
    let axis = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).sum(2)
      })
    #expect(
      String(decoding: axis.standardErrorContent, as: UTF8.self).contains("sum: axis 2 does not exist in shape [2, 3]"))
    let empty = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [0, 3]).amax(0)
      })
    #expect(String(decoding: empty.standardErrorContent, as: UTF8.self).contains("amax: shape [0, 3] has no elements"))
  }
}
