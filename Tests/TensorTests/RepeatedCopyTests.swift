import Tensor
import Testing

@Suite struct RepeatedCopyTests {
  private func expectRepeated<Scalar: TensorScalar & FixedWidthInteger>(
    _ count: Int, _ times: Int, as type: Scalar.Type
  ) {
    let result = counting([count, 1], as: type).broadcast(to: [count, times]).contiguous().scalars(as: type)
    let expected = (0..<count * times).map { Scalar(truncatingIfNeeded: $0 / times) }
    #expect(result == expected, "[\(count), \(times)] \(type)")
  }

  @Test func everyElementOfEveryTypeComesAsOftenAsAsked() {
    for (count, times) in [(1, 2), (2, 1), (3, 2), (4, 2), (17, 2), (100, 2), (5, 3), (33, 4), (7, 100), (40_000, 2)] {
      expectRepeated(count, times, as: UInt8.self)
      expectRepeated(count, times, as: UInt16.self)
      expectRepeated(count, times, as: UInt32.self)
      expectRepeated(count, times, as: Int64.self)
    }
  }

  /// As upsampling does it, of a part whose rows are not neighbours in memory, and from an odd address.
  @Test func rowsAndColumnsAreDoubled() {
    let (a, h, w) = (3, 5, 37)
    let x = counting([a, h, w + 3], as: Int32.self).narrow(2, from: 1, count: w)
    let doubled = x.unsqueezed(2).unsqueezed(4).broadcast(to: [a, h, 2, w, 2]).reshaped([a, 2 * h, 2 * w])
    var expected: [Int32] = []
    for i in 0..<a {
      for r in 0..<2 * h { for c in 0..<2 * w { expected.append(Int32((i * h + r / 2) * (w + 3) + 1 + c / 2)) } }
    }
    #expect(doubled.scalars(as: Int32.self) == expected)
  }
}
