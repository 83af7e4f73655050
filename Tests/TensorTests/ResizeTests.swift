import Tensor
import TestSupport
import Testing

/// Laws of resizing beside the values that the golden cases pin.
@Suite struct ResizeTests {
  /// Every way to resize a picture of floats.
  struct Method: Sendable {
    let mode: ResizeMode
    var antialias = false, alignCorners = false
  }

  static let methods = [
    Method(mode: .nearest), Method(mode: .nearestExact), Method(mode: .bilinear), Method(mode: .bicubic),
    Method(mode: .bilinear, alignCorners: true), Method(mode: .bicubic, alignCorners: true),
    Method(mode: .bilinear, antialias: true), Method(mode: .bicubic, antialias: true),
  ]
  static let sizes = [(1, 1), (1, 9), (9, 1), (5, 7), (7, 5), (23, 31), (64, 3)]

  private func random(_ shape: [Int], _ dtype: DType = .f32) -> Tensor {
    var generator = Generator(seed: 1)
    return generator.randn(shape, dtype: dtype)
  }

  private func picture(_ shape: [Int]) -> Tensor {
    var generator = Generator(seed: 2)
    return generator.randint(shape, high: 256, dtype: .u8)
  }

  private func resize(_ x: Tensor, _ height: Int, _ width: Int, _ method: Method) -> Tensor {
    x.resized(
      height: height, width: width, mode: method.mode, antialias: method.antialias, alignCorners: method.alignCorners)
  }

  @Test(arguments: methods) func aFlatPictureStaysFlat(_ method: Method) {
    for (height, width) in Self.sizes {
      for (newHeight, newWidth) in Self.sizes {
        let flat = resize(Tensor(full: [2, height, width], 3.5), newHeight, newWidth, method)
        #expect(flat.shape == [2, newHeight, newWidth])
        expectClose(flat, Tensor(full: flat.shape, 3.5), Tolerance(absolute: 1e-5))
      }
    }
  }

  @Test(arguments: methods) func theSameSizeIsTheSamePicture(_ method: Method) {
    let x = random([2, 3, 6, 5])
    #expect(resize(x, 6, 5, method).floats == x.floats)
  }

  @Test(arguments: methods) func rowsAndColumnsAreAlike(_ method: Method) {
    let x = random([2, 11, 6]), turned = resize(x.transposed(), 9, 17, method).transposed()
    expectClose(resize(x, 17, 9, method), turned, Tolerance(absolute: 1e-5))
  }

  @Test(arguments: methods) func stridesAndBatchesDoNotMatter(_ method: Method) {
    let x = random([5, 4, 6, 2]).permuted(3, 1, 0, 2)
    let whole = resize(x, 7, 4, method)
    #expect(whole.floats == resize(x.contiguous(), 7, 4, method).floats)
    #expect(whole[1, 2].floats == resize(x[1, 2], 7, 4, method).floats)
  }

  @Test(arguments: methods.filter { !$0.alignCorners }) func aMirroredPictureGivesAMirroredResult(_ method: Method) {
    // Nearest breaks ties to one side.
    if method.mode == .nearest || method.mode == .nearestExact { return }
    let x = random([9, 13])
    expectClose(
      resize(x.flipped(0, 1), 4, 20, method).flipped(0, 1), resize(x, 4, 20, method), Tolerance(absolute: 1e-5))
  }

  @Test func alignedCornersKeepTheCorners() {
    let x = random([6, 5])
    for mode in [ResizeMode.bilinear, .bicubic] {
      let y = x.resized(height: 11, width: 17, mode: mode, alignCorners: true)
      for (row, column) in [(0, 0), (0, -1), (-1, 0), (-1, -1)] {
        #expect(abs(y[row, column].item - x[row, column].item) < 1e-5)
      }
    }
  }

  @Test func bilinearByHand() {
    let x = Tensor([0, 1, 2, 3], shape: [2, 2])
    let y = x.resized(height: 2, width: 4, mode: .bilinear)
    #expect(y.floats == [0, 0.25, 0.75, 1, 2, 2.25, 2.75, 3])
    #expect(x.resized(height: 1, width: 1, mode: .bilinear, antialias: true).item == 1.5)
    #expect(x.resized(height: 2, width: 4, mode: .nearest).floats == [0, 0, 1, 1, 2, 2, 3, 3])
  }

  @Test func narrowTypesAreRoundedOnce() {
    let x = random([2, 8, 8], .bf16)
    let y = x.resized(height: 5, width: 9, mode: .bicubic)
    #expect(y.dtype == .bf16)
    let wide = x.converted(to: .f32).resized(height: 5, width: 9, mode: .bicubic)
    #expect(y.bytes == wide.converted(to: .bf16).bytes)
    let labels = picture([4, 6])
    #expect(labels.resized(height: 8, width: 12, mode: .nearest).dtype == .u8)
  }

  @Test(arguments: ImageFilter.allCases) func picturesOfAnyChannelCountAgree(_ filter: ImageFilter) {
    let x = picture([13, 9, 5]), y = x.resizedImage(height: 6, width: 21, filter: filter)
    #expect(y.shape == [6, 21, 5] && y.dtype == .u8)
    let three = x[.ellipsis, ..<3].resizedImage(height: 6, width: 21, filter: filter)
    #expect(three.bytes == y[.ellipsis, ..<3].contiguous().bytes)
    let one = x[.ellipsis, 4...].resizedImage(height: 6, width: 21, filter: filter)
    #expect(one.bytes == y[.ellipsis, 4...].contiguous().bytes)
    #expect(x.resizedImage(height: 13, width: 9, filter: filter).bytes == x.bytes)
  }

  @Test(arguments: ImageFilter.allCases) func floatPicturesAreTheUnroundedBytes(_ filter: ImageFilter) {
    // Values from 96 to 127: no filter overshoots the range of a byte.
    var generator = Generator(seed: 5)
    let x = generator.randint([12, 10, 3], low: 96, high: 128, dtype: .u8)
    let exact = x.converted(to: .f32).resizedImage(height: 7, width: 15, filter: filter).floats
    let bytes = x.resizedImage(height: 7, width: 15, filter: filter).floats
    for (byte, value) in zip(bytes, exact) { #expect(abs(byte - value) <= 1.5) }
  }

  @Test(arguments: ImageFilter.allCases) func whiteStaysWhite(_ filter: ImageFilter) {
    let white = Tensor(full: [17, 40, 3], 255, dtype: .u8)
    for (height, width) in Self.sizes {
      let values = white.resizedImage(height: height, width: width, filter: filter).scalars(as: UInt8.self)
      #expect(values.allSatisfy { $0 == 255 })
    }
  }

  @Test func wrongUsesAreNamed() async {
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor(zeros: [2, 0, 3]).resized(height: 2, width: 2, mode: .bilinear)
    }.map { expectTrapText($0, "resized: shape [2, 0, 3] to height 2 and width 2") }
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor(zeros: [2, 2]).resized(height: 2, width: 2, mode: .nearest, antialias: true)
    }.map { expectTrapText($0, "mode nearest takes neither antialias nor alignCorners") }
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor(zeros: [2, 2, 3], dtype: .i64).resizedImage(height: 2, width: 2, filter: .box)
    }.map { expectTrapText($0, "dtype i64 of shape [2, 2, 3] is neither u8 nor f32") }
  }
}
