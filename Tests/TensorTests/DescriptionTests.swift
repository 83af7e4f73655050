import Tensor
import TestSupport
import Testing

@Suite struct DescriptionTests {
  @Test func oneLineSaysWhatIsInside() {
    #expect("\(Tensor([1, 2, 3, 4], shape: [2, 2]))" == "Tensor [2, 2] f32: mean 2.5, std 1.118, min 1, max 4")
    #expect(
      "\(Tensor([1, .nan, 3, .infinity, .nan]))" == "Tensor [5] f32: mean 2, std 1, min 1, max 3, 2 NaN, 1 infinite")
    #expect("\(Tensor(0.5))" == "Tensor [] f32: 0.5")
    #expect("\(Tensor(zeros: [0, 3]))" == "Tensor [0, 3] f32: empty")
    #expect("\(Tensor([.nan]))" == "Tensor [1] f32: 1 NaN")
    #expect("\(Tensor(indices: 3))" == "Tensor [3] i64: mean 1, std 0.8165, min 0, max 2")
  }

  @Test func statisticsAreExactFarFromZeroAndOverBlocks() {
    let values = (0..<2000).map { 1e6 + Float($0 % 2) }
    for view in oddViews(of: Tensor(values)) { #expect("\(view)".contains("mean 1e+06, std 0.5, ")) }
  }

  @Test func eightBitFloatsAreRead() {
    let bytes = Tensor(scalars: [0x38, 0xB8, 0x7E, 0x7F, 0x01] as [UInt8])
    let values = Tensor(mappedAs: .f8e4m3, bytes)
    #expect("\(values)".contains("min -1, max 448, 1 NaN"))
    let wide = Tensor(mappedAs: .f8e5m2, Tensor(scalars: [0x3C, 0x7C, 0xC0] as [UInt8]))
    #expect("\(wide)".contains("min -2, max 1, 1 inf"))
  }

  @Test func detailsAlignColumns() {
    #expect(Tensor([1, -22, 3, 4], shape: [2, 2]).details() == "[[  1., -22.],\n [  3.,   4.]]")
    #expect(Tensor([0.5, 10, .nan]).details(precision: 2) == "[ 0.50, 10.00,   nan]")
    #expect(Tensor([1e-6, 1]).details(precision: 1) == "[1.0e-06, 1.0e+00]")
    #expect(Tensor(3).details() == "3.")
    #expect(Tensor(zeros: [2, 0]).details() == "[[],\n []]")
    #expect(Tensor(scalars: [true, false]).details() == "[ true, false]")
    #expect(Tensor(scalars: [Int.max, 1]).details() == "[9223372036854775807,                   1]")
  }

  @Test func longAxesShowTheirEnds() {
    let x = Tensor((0..<2000).map(Float.init), shape: [20, 100])
    let text = x.details(edgeItems: 2)
    #expect(
      text == """
        [[   0.,    1., ...,   98.,   99.],
         [ 100.,  101., ...,  198.,  199.],
         ...,
         [1800., 1801., ..., 1898., 1899.],
         [1900., 1901., ..., 1998., 1999.]]
        """)
    #expect(x.reshaped(2, 10, 100).details(edgeItems: 1).contains("]],\n\n [[1000."))
    #expect(x.debugDescription.hasPrefix(x.description + "\n[["))
  }
}

@Suite struct EqualityTests {
  @Test func identityLooksAtBits() {
    let x = Tensor([1, .nan, 0, -2])
    for view in oddViews(of: x) { #expect(view.isIdentical(to: x) && x.isIdentical(to: view)) }
    #expect(!x.isIdentical(to: Tensor([1, .nan, -0.0, -2])))
    #expect(!x.isIdentical(to: x.reshaped(2, 2)) && !x.isIdentical(to: x.converted(to: .f64)))
    #expect(Tensor(zeros: [0, 2]).isIdentical(to: Tensor(zeros: [0, 2])))
    let late = concatenated([Tensor(zeros: [3, 999]), Tensor(ones: [3, 1])], axis: 1)
    #expect(!late.isIdentical(to: Tensor(zeros: [3, 1000])))
  }

  @Test func closenessIsPyTorchs() {
    let x = Tensor([1, 100, 0])
    #expect(x.allClose(to: Tensor([1, 100.0009, 0])) && !x.allClose(to: Tensor([1, 100.0011, 0])))
    #expect(!x.allClose(to: Tensor([1, 100, 1e-7])) && x.allClose(to: Tensor([1, 100, 1e-7]), absolute: 1e-6))
    #expect(x.allClose(to: x.converted(to: .bf16)))
    let odd = Tensor([.nan, .infinity, -.infinity])
    #expect(!odd.allClose(to: odd) && odd.allClose(to: odd, equalNaN: true))
    #expect(!odd.allClose(to: Tensor([.nan, .infinity, 3]), relative: .infinity, equalNaN: true))
    for view in oddViews(of: Tensor((0..<1200).map(Float.init), shape: [2, 600])) {
      #expect(view.allClose(to: Tensor((0..<1200).map(Float.init), shape: [2, 600]), relative: 0, absolute: 0))
    }
  }
}

extension Tensor {
  /// Bytes seen as another 1-byte type.
  fileprivate init(mappedAs dtype: DType, _ bytes: Tensor) {
    let owner = ByteOwner(bytes)
    self.init(
      storage: Storage(mapped: owner.bytes.rawPointer, byteCount: bytes.count, owner: owner), dtype: dtype,
      shape: bytes.shape)
  }
}

private final class ByteOwner: Sendable {
  let bytes: Tensor
  init(_ bytes: Tensor) { self.bytes = bytes }
}
