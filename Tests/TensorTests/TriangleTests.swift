import Tensor
import TestSupport
import Testing

@Suite struct TriangleTests {
  @Test(arguments: [-4, -1, 0, 1, 2, 6])
  func trianglesKeepOneSideOfADiagonal(_ diagonal: Int) {
    var random = TestRandom(1)
    for shape in [[3, 5], [5, 3], [2, 4, 4], [1, 1], [0, 3], [3, 0]] {
      let x = random.tensor(shape), plain = Plain(x), axes = shape.count
      let lower = Plain(shape: shape) { $0[axes - 1] - $0[axes - 2] <= diagonal ? plain[$0] : 0 }
      let upper = Plain(shape: shape) { $0[axes - 1] - $0[axes - 2] >= diagonal ? plain[$0] : 0 }
      for view in oddViews(of: x) {
        #expect(Plain(view.tril(diagonal)).values == lower.values)
        #expect(Plain(view.triu(diagonal)).values == upper.values)
      }
      let line = Plain.positions(shape).filter { $0[axes - 1] - $0[axes - 2] == diagonal }.map { plain[$0] }
      if shape.count == 2 { #expect(Plain(x.diagonal(diagonal)).values == line) }
    }
  }

  @Test func diagonalOfAnyAxesIsAView() {
    let x = TestRandom(2).with { $0.tensor([3, 2, 4]) }, plain = Plain(x)
    let expected = Plain(shape: [2, 3]) { plain[[$0[1], $0[0], $0[1] + 1]] }
    #expect(x.diagonal(1, rows: 0, columns: 2).shape == [2, 3])
    #expect(Plain(x.diagonal(1, rows: 0, columns: 2)).values == expected.values)
    #expect(x.diagonal(9).shape == [3, 0])
  }

  @Test func diagonalMatrixIsItsInverse() {
    let x = TestRandom(3).with { $0.tensor([2, 3]) }
    for view in oddViews(of: x) {
      for offset in [-2, 0, 1] {
        let matrix = view.diagonalMatrix(offset)
        #expect(matrix.shape == [2, 3 + abs(offset), 3 + abs(offset)])
        #expect(matrix.diagonal(offset).isIdentical(to: x) && matrix.nonZeroCount == x.nonZeroCount)
      }
    }
  }
}
