import Tensor
import TestSupport
import Testing

@Suite struct PaddingTests {
  private static let modes: [PaddingMode] = [.constant(-3), .reflect, .replicate, .circular]

  @Test(arguments: modes)
  func bordersFollowTheirDefinition(_ mode: PaddingMode) {
    var random = TestRandom(1)
    for (shape, amounts) in [
      ([5], [2, 3]), ([4, 5], [1, 2, 3, 0]), ([2, 3, 4], [0, 0, 1, 2]), ([3, 4, 3], [1, 2, 0, 1, 2, 2]),
      ([2, 3], [0, 0]), ([6], [-2, 3]), ([6], [1, -2]), ([2, 6], [-1, -2, 1, 0]), ([3], []),
    ] {
      let x = random.tensor(shape)
      let expected = naive(Plain(x), amounts, mode)
      for view in oddViews(of: x) {
        let padded = view.padded(amounts, mode: mode)
        #expect(padded.shape == expected.shape && Plain(padded).values == expected.values, "\(shape) \(amounts)")
      }
      for dtype in [DType.bf16, .f64, .i64, .i32] {
        let padded = x.converted(to: dtype).padded(amounts, mode: mode)
        #expect(padded.dtype == dtype && Plain(padded).values == expected.values)
      }
    }
  }

  @Test func emptyTensorsGetAConstantBorder() {
    #expect(Tensor(zeros: [0, 2]).padded([0, 1, 1, 1], mode: .constant(5)).floats == [5, 5, 5, 5, 5, 5])
    #expect(Tensor(zeros: [0, 2]).padded([1, 1], mode: .replicate).shape == [0, 4])
    #expect(Tensor(3).padded([]).item == 3)
  }

  @Test func oneAxisIsPaddedByName() {
    let x = Tensor([1, 2, 3, 4], shape: [2, 2])
    #expect(x.padded(0, before: 1).floats == [0, 0, 1, 2, 3, 4])
    #expect(x.padded(-1, after: 1, mode: .replicate).floats == [1, 2, 2, 3, 4, 4])
  }

  @Test func borderWiderThanTheSourceIsNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).padded([3, 0], mode: .reflect)
      }, "padded: amounts 3 and 0 (reflect) do not fit axis 1 of shape [2, 3]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).padded([1])
      }, "amounts [1] are not pairs for the last axes of shape [2, 3]")
  }

  /// One axis after the other, each by walking outwards from its ends.
  private func naive(_ x: Plain, _ amounts: [Int], _ mode: PaddingMode) -> Plain {
    var x = x
    for pair in 0..<amounts.count / 2 {
      let axis = x.shape.count - 1 - pair
      let (before, after) = (amounts[2 * pair], amounts[2 * pair + 1])
      let extent = x.shape[axis]
      var line = (0..<extent).map { Int?.some($0) }
      // What cropping leaves is what a circle is made of.
      let kept = Array(line[max(0, -before)..<(extent - max(0, -after))])
      if mode == .circular { line = kept }
      let inner = line
      for i in 0..<max(0, before) {
        switch mode {
        case .constant: line.insert(nil, at: 0)
        case .reflect: line.insert(inner[i + 1], at: 0)
        case .replicate: line.insert(0, at: 0)
        case .circular: line.insert(inner[inner.count - 1 - i], at: 0)
        }
      }
      for i in 0..<max(0, after) {
        switch mode {
        case .constant: line.append(nil)
        case .reflect: line.append(inner[inner.count - 2 - i])
        case .replicate: line.append(extent - 1)
        case .circular: line.append(inner[i])
        }
      }
      if mode != .circular { line = Array(line[max(0, -before)..<(line.count - max(0, -after))]) }
      var shape = x.shape
      shape[axis] = line.count
      let source = x
      x = Plain(shape: shape) { position in
        guard let place = line[position[axis]] else { return -3 }
        return source[position.enumerated().map { $0.offset == axis ? place : $0.element }]
      }
    }
    return x
  }
}
