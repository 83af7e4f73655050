import Tensor
import TestSupport
import Testing

@Suite struct JoiningTests {
  @Test(arguments: [DType.f32, .bf16, .u8, .f64, .i64])
  func concatenationPutsPartsSideBySide(_ dtype: DType) {
    var random = TestRandom(1)
    for (shape, axis) in [([2, 3], 0), ([2, 3], 1), ([2, 3, 4], -2), ([5], 0), ([2, 0], 1)] {
      let place = axis < 0 ? axis + shape.count : axis
      let parts = [1, 0, 4].map { extent in
        var part = shape
        part[place] = extent
        return random.tensor(part, dtype: dtype)
      }
      var whole = shape
      whole[place] = 5
      let expected = Plain(shape: whole) { position in
        var inner = position
        inner[place] -= position[place] > 0 ? 1 : 0
        return Plain(parts[position[place] > 0 ? 2 : 0])[inner]
      }
      for views in [0, 1, 2, 3, 4].map({ kind in parts.map { oddViews(of: $0)[kind] } }) {
        let joined = concatenated(views, axis: axis)
        #expect(joined.shape == whole && joined.dtype == dtype && joined.isContiguous)
        #expect(Plain(joined).values == expected.values)
      }
    }
  }

  @Test func stackingAddsAnAxis() {
    var random = TestRandom(2)
    let parts = (0..<3).map { _ in random.tensor([2, 4]) }
    for axis in [0, 1, 2, -1, -3] {
      let whole = stacked(parts, axis: axis), place = axis < 0 ? axis + 3 : axis
      for (index, part) in parts.enumerated() { #expect(whole.select(place, index).isIdentical(to: part)) }
    }
    #expect(stacked([Tensor(1), Tensor(2)]).floats == [1, 2])
  }

  @Test func repeatingDoublesEveryPositionAndTilingTheWhole() {
    var random = TestRandom(3)
    let x = random.tensor([2, 3, 2]), plain = Plain(x)
    for view in oddViews(of: x) {
      let repeated = Plain(shape: [2, 9, 2]) { plain[[$0[0], $0[1] / 3, $0[2]]] }
      #expect(Plain(view.repeated(3, axis: 1)).values == repeated.values)
      let tiled = Plain(shape: [2, 2, 9, 2]) { plain[[$0[1] % 2, $0[2] % 3, $0[3]]] }
      #expect(view.tiled(2, 1, 3, 1).shape == tiled.shape)
      #expect(Plain(view.tiled(2, 1, 3, 1)).values == tiled.values)
      #expect(view.tiled(2).shape == [2, 3, 4])
      #expect(view.repeated([2, 0, 1], axis: 1).isIdentical(to: x.take(1, [0, 0, 2])))
    }
    #expect(x.repeated(0, axis: 0).shape == [0, 3, 2] && x.tiled(0, 1, 1).shape == [0, 3, 2])
    #expect(Tensor(7).tiled(3).floats == [7, 7, 7])
  }

  @Test func joiningLeavesItsPartsAlone() {
    let a = Tensor([1, 2]), b = Tensor([3])
    var joined = concatenated([a, b])
    joined[0] = Tensor(9)
    #expect(a.floats == [1, 2] && joined.floats == [9, 2, 3])
    var alone = concatenated([a])
    alone[0] = Tensor(9)
    #expect(a.floats == [1, 2])
  }

  @Test func mismatchesAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = concatenated([Tensor(zeros: [2, 3]), Tensor(zeros: [2, 4])], axis: 0)
      }, "concatenated: shapes [2, 3] and [2, 4] differ outside axis 0")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = concatenated([Tensor(zeros: [2]), Tensor(zeros: [2], dtype: .bf16)])
      }, "concatenated: dtypes f32 and bf16 differ")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).repeated([1], axis: 0)
      }, "repeated: counts [1] do not fit axis 0 of shape [2, 3]")
  }
}
