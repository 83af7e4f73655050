import Tensor
import TestSupport
import Testing

/// Views against the naive meaning of each: what element ends up where.
@Suite struct TensorViewTests {
  /// 0, 1, 2, … so that every element says where it came from.
  private func counting(_ shape: Int...) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map(Float.init), shape: shape)
  }

  @Test func transposeMovesRowsToColumns() {
    let x = counting(2, 3)
    #expect(x.transposed().shape == [3, 2])
    #expect(x.transposed().floats == [0, 3, 1, 4, 2, 5])
    #expect(counting(2, 3, 4).permuted(2, 0, 1).contiguous().floats == counting(2, 3, 4).permuted(2, 0, 1).floats)
    #expect(counting(2, 3, 4).permuted(2, 0, 1)[3, 1, 2].item == 1 * 12 + 2 * 4 + 3)
    #expect(counting(2, 3, 4).movedAxis(0, to: -1).shape == [3, 4, 2])
  }

  @Test func indexingFollowsNumPy() {
    let x = counting(4, 5)
    #expect(x[1].floats == [5, 6, 7, 8, 9])
    #expect(x[-1, -1].item == 19)
    #expect(x[.all, 2].floats == [2, 7, 12, 17])
    #expect(x[1..<3, 3...].floats == [8, 9, 13, 14])
    #expect(x[..<2, ..<(-3)].floats == [0, 1, 5, 6])
    #expect(x[0...1, 0].floats == [0, 5])
    #expect(x[.every(2), 0].floats == [0, 10])
    #expect(x[.every(-1), 0].floats == [15, 10, 5, 0])
    #expect(x[.ellipsis, 0].shape == [4])
    #expect(x[.newAxis, 0, .newAxis].shape == [1, 1, 5])
    #expect(x[10...].shape == [0, 5])
    #expect(counting(2, 3, 4)[.ellipsis, 1].shape == [2, 3])
  }

  @Test func assignmentWritesOnlyThisTensor() {
    let original = counting(3, 4)
    var x = original
    let row = x[1]
    x[1] = Tensor(0)
    x[.all, 3] = Tensor([7, 8, 9])
    #expect(x.floats == [0, 1, 2, 7, 0, 0, 0, 8, 8, 9, 10, 9])
    #expect(row.floats == [4, 5, 6, 7])
    #expect(original.floats == counting(3, 4).floats)
  }

  @Test func writingASliceLeavesItsSourceAlone() {
    let x = counting(2, 2)
    var slice = x[0]
    slice.withMutableFloats { $0[0] = 99 }
    #expect(slice.floats == [99, 1])
    #expect(x.floats == [0, 1, 2, 3])
  }

  @Test func reshapeSharesMemoryWhereStridesAllow() {
    let x = counting(2, 3, 4)
    #expect(x.reshaped(6, -1).shape == [6, 4])
    #expect(x.reshaped(-1).floats == x.floats)
    // Merging the last two axes of a view that skips rows needs no copy; merging the first two does.
    let view = x[.all, ..<2]
    #expect(view.reshaped(2, 8).floats == view.floats)
    #expect(view.reshaped(4, 4).floats == view.floats)
    #expect(x.transposed(0, 2).reshaped(12, 2).floats == x.transposed(0, 2).floats)
    #expect(x.flattened(from: 1).shape == [2, 12])
    #expect(x.unflattened(-1, 2, -1).shape == [2, 3, 2, 2])
    #expect(Tensor(zeros: [0, 3]).reshaped(3, 0).shape == [3, 0])
  }

  @Test(arguments: [[1, 24], [24], [2, 12], [4, 3, 2], [2, 2, 2, 3], [3, 8], [6, 4, 1]])
  func reshapeOfAnyViewKeepsRowMajorOrder(_ target: [Int]) {
    let views = [
      counting(2, 3, 4), counting(4, 3, 2).transposed(0, 2), counting(2, 6, 4)[.all, .every(2)],
      counting(3, 4).unsqueezed(0).broadcast(to: [2, 3, 4]), counting(2, 3, 4).flipped(1),
      counting(2, 1, 3, 4).transposed(1, 2),
    ]
    for view in views { #expect(view.reshaped(target).floats == view.floats) }
  }

  @Test func splitChunkAndNarrowCutOneAxis() {
    let x = counting(2, 6)
    #expect(x.split([1, 2, 3])[2].floats == [3, 4, 5, 9, 10, 11])
    #expect(x.chunked(3)[1].floats == [2, 3, 8, 9])
    #expect(x.chunked(2, axis: 0)[1].floats == [6, 7, 8, 9, 10, 11])
    #expect(x.narrow(1, from: 4, count: 2).floats == [4, 5, 10, 11])
    #expect(x.select(-1, -1).floats == [5, 11])
  }

  @Test func broadcastRepeatsWithoutCopy() {
    let x = Tensor([1, 2, 3], shape: [3, 1])
    #expect(x.broadcast(to: [2, 3, 2]).floats == [1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3])
    #expect(Tensor(5).broadcast(to: [2]).floats == [5, 5])
  }

  @Test func windowsSlideAlongAnAxis() {
    #expect(counting(5).windows(0, size: 3, step: 2).floats == [0, 1, 2, 2, 3, 4])
  }

  @Test func creationFillsAsAsked() {
    #expect(Tensor(arange: 1, to: 2, step: 0.25).floats == [1, 1.25, 1.5, 1.75])
    #expect(Tensor(linspace: 0, 1, count: 5).floats == [0, 0.25, 0.5, 0.75, 1])
    #expect(Tensor(identity: 2, columns: 3).floats == [1, 0, 0, 0, 1, 0])
    #expect(Tensor(full: [2, 2], 3).floats == [3, 3, 3, 3])
    #expect(Tensor(indices: 3).scalars(as: Int64.self) == [0, 1, 2])
    #expect(Tensor(ones: [2], dtype: .bf16).dtype == .bf16)
  }

  @Test func mistakesNameTheShapes() async throws {
    let reshape = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).reshaped(4, 2)
      })
    expectTrapText(reshape, "shape [2, 3] (6 elements) does not become [4, 2]")
    let index = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3])[2]
      })
    expectTrapText(index, "index 2 is outside axis 0 of shape [2, 3]")
    let broadcast = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).broadcast(to: [3, 2])
      })
    expectTrapText(broadcast, "shape [2, 3] does not broadcast to [3, 2]")
  }
}
