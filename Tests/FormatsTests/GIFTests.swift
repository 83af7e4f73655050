import Formats
import Foundation
import Tensor
import TestSupport
import Testing

@Suite struct GIFTests {
  /// Frames of few colours, which a palette holds exactly.
  private func frames(_ count: Int, height: Int = 12, width: Int = 17) -> Tensor {
    let bytes = (0..<count * height * width).flatMap { index -> [UInt8] in
      let color = UInt8(index / 7 % 5 + index / (height * width))
      // Colours that differ in their upper five bits, which is what the median cut looks at.
      return [color &* 8, 255 &- color &* 16, color &* 24 &+ 3]
    }
    return Tensor(scalars: bytes, shape: [count, height, width, 3])
  }

  private func encoded(_ frames: Tensor, rate: Double = 8) throws -> [UInt8] {
    let writer = try GIFWriter(
      height: frames.shape[1], width: frames.shape[2], framesPerSecond: rate, comment: "run_id 7")
    for index in 0..<frames.shape[0] { try writer.add(frames[index].contiguous()) }
    return try writer.finish()
  }

  private func read(_ bytes: [UInt8], options: ImageOptions = ImageOptions(), most: Int = .max) throws -> GIF.Animation
  {
    try GIF.read(MappedFile(contents: bytes, name: "a.gif"), options: options, most: most)
  }

  @Test func whatIsWrittenIsRead() throws {
    let frames = frames(5), animation = try read(encoded(frames))
    #expect(animation.frames.shape == frames.shape)
    #expect(animation.frames.isIdentical(to: frames))
    // Eight frames a second are twelve and a half hundredths: their ends are rounded, not each delay.
    #expect(animation.delays == [13, 12, 13, 12, 13])
    #expect(abs((animation.framesPerSecond ?? 0) - 8) < 0.2)
    #expect(try read(encoded(frames), most: 2).frames.isIdentical(to: animation.frames.narrow(0, from: 0, count: 2)))
  }

  @Test func aFileSaysWhichRunItIsOf() throws {
    #expect(try encoded(frames(1)).containsSequence(Array("run_id 7".utf8)))
  }

  /// A canvas of 2 × 2 in black and red, then a frame of one transparent and one green pixel on its first row.
  @Test(arguments: [(1, [255, 0, 0]), (2, [0, 0, 0]), (3, [255, 0, 0])])
  func framesStandOnWhatTheOnesBeforeHaveLeft(disposal: Int, expected: [Int]) throws {
    var bytes = Array("GIF89a".utf8) + [2, 0, 2, 0, 0x91, 0, 0]
    bytes += [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]
    func frame(_ disposal: Int, transparent: Int?, width: UInt8, height: UInt8, codes: [UInt8]) -> [UInt8] {
      [0x21, 0xF9, 4, UInt8(disposal << 2 | (transparent == nil ? 0 : 1)), 5, 0, UInt8(transparent ?? 0), 0]
        + [0x2C, 0, 0, 0, 0, width, 0, height, 0, 0, 2, UInt8(codes.count)] + codes + [0]
    }
    // Codes of three bits: clear (4), the pixels, end (5); after a clear the first four codes stay so short.
    func codes(_ pixels: [Int]) -> [UInt8] {
      var bits = 0, count = 0
      for code in pixels.flatMap({ [4, $0] }) + [5] {
        bits |= code << count
        count += 3
      }
      return (0..<(count + 7) / 8).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
    }
    bytes += frame(1, transparent: nil, width: 2, height: 2, codes: codes([1, 1, 1, 1]))
    bytes += frame(disposal, transparent: 3, width: 2, height: 1, codes: codes([3, 2]))
    bytes += frame(1, transparent: 3, width: 1, height: 1, codes: codes([3])) + [0x3B]
    let frames = try read(bytes).frames
    #expect(frames.shape == [3, 2, 2, 3])
    #expect(frames[1].scalars(as: UInt8.self) == [255, 0, 0, 0, 255, 0, 255, 0, 0, 255, 0, 0])
    // What the third frame shows where it draws nothing: left alone, cleared, or as before the second.
    #expect(frames[2].scalars(as: UInt8.self).prefix(3).map { Int($0) } == expected)
    let second: [UInt8] = disposal == 1 ? [0, 255, 0] : disposal == 2 ? [0, 0, 0] : [255, 0, 0]
    #expect(Array(frames[2].scalars(as: UInt8.self)[3...5]) == second)
  }

  @Test func everyTruncationIsRefused() throws {
    try expectEveryTruncationThrows(encoded(frames(2)), ImageError.self) { _ = try GIF.read($0) }
  }

  @Test func bitFlipsAreHarmless() throws {
    let refused = try expectBitFlipsAreHarmless(encoded(frames(2)), ImageError.self, step: 3) {
      _ = try GIF.read($0, options: ImageOptions(maximumPixels: 1 << 20))
    }
    #expect(refused > 0)
  }

  @Test func manyPixelsOfASmallFileAreRefused() throws {
    let bytes = try encoded(frames(5))
    let error = #expect(throws: ImageError.self) {
      try read(bytes, options: ImageOptions(maximumPixels: 3 * 12 * 17))
    }
    #expect(error?.problem == .tooLarge(width: 17, height: 48, limit: 612))
  }

  @Test func whatIsNoFrameIsRefused() throws {
    let writer = try GIFWriter(height: 4, width: 5, framesPerSecond: 8)
    for wrong in [Tensor(zeros: [4, 5, 3]), Tensor(zeros: [5, 4, 3], dtype: .u8)] {
      #expect(throws: ImageError.self) { try writer.add(wrong) }
    }
    #expect(throws: ImageError.self) { try writer.finish() }
    #expect(throws: ImageError.self) { try GIFWriter(height: 1, width: 65536, framesPerSecond: 8) }
  }

  @Test func jpegIsReadBackAsItWas() throws {
    let bytes = (0..<40 * 48).flatMap { index -> [UInt8] in
      let (row, column) = index.quotientAndRemainder(dividingBy: 48)
      return [UInt8(column * 5), UInt8(row * 6), UInt8(row + column)]
    }
    let frame = Tensor(scalars: bytes, shape: [40, 48, 3])
    let read = try Image.read(MappedFile(contents: try JPEG.encode(frame, quality: 95), name: "a.jpg"))
    #expect(read.shape == [40, 48, 3])
    let distance = zip(read.scalars(as: UInt8.self), frame.scalars(as: UInt8.self)).map { abs(Int($0) - Int($1)) }
    #expect(distance.reduce(0, +) < 3 * distance.count)
    #expect(throws: ImageError.self) { try JPEG.encode(Tensor(zeros: [2, 2, 1], dtype: .u8)) }
  }
}

extension [UInt8] {
  fileprivate func containsSequence(_ other: [UInt8]) -> Bool {
    indices.contains { self[$0...].starts(with: other) }
  }
}
