import Tensor
import TestSupport
import Testing

/// The windows of a convolution against their definition, in one to three spatial axes.
@Suite struct UnfoldTests {
  struct Case: Sendable {
    var extents: [Int], kernel: [Int]
    var stride: [Int]? = nil
    var padding: [Int]? = nil
    var dilation: [Int]? = nil
  }

  static let cases = [
    Case(extents: [5, 6], kernel: [3, 3], padding: [1, 1]), Case(extents: [5, 6], kernel: [2, 3], stride: [2, 1]),
    Case(extents: [7, 6], kernel: [2, 2], stride: [1, 3], padding: [2, 0], dilation: [3, 2]),
    Case(extents: [4, 4], kernel: [1, 1]), Case(extents: [2, 2], kernel: [2, 2], padding: [4, 5]),
    Case(extents: [3, 9], kernel: [3, 4], stride: [2, 4], padding: [0, 3]),
    Case(extents: [9], kernel: [4], stride: [2]),
    Case(extents: [3, 4, 5], kernel: [2, 3, 2], stride: [1, 2, 2], padding: [1, 0, 1]),
    Case(extents: [1, 3], kernel: [1, 5], padding: [0, 6], dilation: [1, 3]),
  ]

  @Test(arguments: cases)
  func columnsAreTheWindows(_ windows: Case) {
    var random = TestRandom(1)
    let x = random.tensor([2, 3] + windows.extents), expected = naive(Plain(x), windows)
    for view in oddViews(of: x) {
      let columns = view.unfolded(
        kernel: windows.kernel, stride: windows.stride, padding: windows.padding, dilation: windows.dilation)
      #expect(columns.shape == expected.shape && Plain(columns).values == expected.values)
    }
    let single = x.converted(to: .bf16)[0].unfolded(
      kernel: windows.kernel, stride: windows.stride, padding: windows.padding, dilation: windows.dilation)
    #expect(Plain(single).values == Array(expected.values.prefix(expected.values.count / 2)))
  }

  /// `<unfold(x), y> == <x, fold(y)>`, which fixes `fold` completely when it holds for every x.
  @Test(arguments: cases)
  func foldIsTheAdjoint(_ windows: Case) {
    var random = TestRandom(2)
    let shape = [2, 3] + windows.extents
    let columns = naive(Plain(Tensor(zeros: shape)), windows).shape
    let y = random.tensor(columns),
      places = Plain(shape: shape) { position in
        zip(position, shape).reduce(0.0) { $0 * Double($1.1) + Double($1.0) } + 1
      }
    // Which source position every column element comes from; 0 where it is padding.
    let sources = naive(places, windows)
    var expected = [Double](repeating: 0, count: places.values.count)
    for (source, value) in zip(sources.values, Plain(y).values) where source > 0 { expected[Int(source) - 1] += value }
    for dtype in [DType.f32, .f64] {
      for view in oddViews(of: y.converted(to: dtype)) {
        let image = view.folded(
          to: windows.extents, kernel: windows.kernel, stride: windows.stride, padding: windows.padding,
          dilation: windows.dilation)
        #expect(image.shape == shape && Plain(image).values == expected)
      }
    }
  }

  @Test func emptyBatchesStayEmpty() {
    #expect(Tensor(zeros: [0, 3, 4, 4]).unfolded(kernel: [2, 2]).shape == [0, 12, 9])
    #expect(Tensor(zeros: [0, 12, 9]).folded(to: [4, 4], kernel: [2, 2]).shape == [0, 3, 4, 4])
  }

  @Test func kernelLargerThanTheImageIsNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [1, 1, 2, 2]).unfolded(kernel: [3, 3])
      }, "unfolded: kernel [3, 3], dilation [1, 1] is larger than [2, 2] with padding [0, 0]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [1, 4, 5]).folded(to: [3, 3], kernel: [2, 2])
      }, "folded: shape [1, 4, 5] of f32 is not [batch, channels * 4, 4] floats")
  }

  private func naive(_ x: Plain, _ windows: Case) -> Plain {
    let axes = windows.kernel.indices, ones = windows.kernel.map { _ in 1 }
    let stride = windows.stride ?? ones, dilation = windows.dilation ?? ones
    let padding = windows.padding ?? ones.map { _ in 0 }
    let grid = axes.map {
      (windows.extents[$0] + 2 * padding[$0] - dilation[$0] * (windows.kernel[$0] - 1) - 1) / stride[$0] + 1
    }
    let taps = Plain.positions(windows.kernel), places = Plain.positions(grid)
    return Plain(shape: [x.shape[0], x.shape[1] * taps.count, places.count]) { position in
      let tap = taps[position[1] % taps.count], place = places[position[2]]
      let source = axes.map { place[$0] * stride[$0] + tap[$0] * dilation[$0] - padding[$0] }
      guard axes.allSatisfy({ (0..<windows.extents[$0]).contains(source[$0]) }) else { return 0 }
      return x[[position[0], position[1] / taps.count] + source]
    }
  }
}
