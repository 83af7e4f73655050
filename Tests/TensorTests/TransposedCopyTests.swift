import Tensor
import Testing

@Suite struct TransposedCopyTests {
  private func expectTransposed<Scalar: TensorScalar & FixedWidthInteger>(
    _ rows: Int, _ columns: Int, as type: Scalar.Type
  ) {
    let result = counting([rows, columns], as: type).transposed().contiguous().scalars(as: type)
    let expected = (0..<rows * columns).map { Scalar(truncatingIfNeeded: $0 % rows * columns + $0 / rows) }
    #expect(result == expected, "[\(rows), \(columns)] \(type)")
  }

  @Test func everyElementOfEveryTypeArrives() {
    for (rows, columns) in [(1, 9), (3, 5), (4, 4), (15, 17), (16, 16), (33, 64), (64, 65), (130, 200), (1000, 300)] {
      expectTransposed(rows, columns, as: UInt8.self)
      expectTransposed(rows, columns, as: UInt16.self)
      expectTransposed(rows, columns, as: UInt32.self)
      expectTransposed(rows, columns, as: Int64.self)
    }
  }

  @Test func planesOfMoreAxesAndPartsOfThemArrive() {
    let (a, b, c, d) = (3, 20, 5, 18)
    let x = counting([a, b, c, d], as: Int32.self)
    // [a, b, c, d] -> [a, d, c, b], the first and the last of b and d left out.
    let part = x.narrow(3, from: 1, count: d - 2).narrow(1, from: 1, count: b - 2).permuted(0, 3, 2, 1)
    var expected: [Int32] = []
    for i in 0..<a {
      for l in 1..<d - 1 {
        for k in 0..<c { for j in 1..<b - 1 { expected.append(Int32(((i * b + j) * c + k) * d + l)) } }
      }
    }
    #expect(part.copied().scalars(as: Int32.self) == expected)
    #expect(x.permuted(3, 2, 1, 0).copied().permuted(3, 2, 1, 0).isIdentical(to: x))
  }
}
