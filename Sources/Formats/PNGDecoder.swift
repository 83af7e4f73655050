// The Swift side of the PNG reader: owns the C reader, allocates the pixels, checks sizes before it does.

import CImageCodecs
import Tensor

/// One PNG file being read. `bytes` must outlive it.
final class PNGDecoder {
  private let reader: OpaquePointer
  private var info: cic_png_info
  private let byteCount: Int
  private let path: String

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    var info = cic_png_info()
    let (reader, message) = withCodecMessage { message in
      cic_png_open(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, &info, message)
    }
    guard let reader else { throw ImageError(path, .png, .damaged(message)) }
    self.reader = reader
    self.info = info
    self.path = path
    byteCount = bytes.count
  }

  deinit { cic_png_close(reader) }

  /// `[height, width, channels]`
  func decode(limit: Int) throws -> Tensor {
    let width = Int(info.width)
    let height = Int(info.height)
    let channels = Int(info.channels)
    guard let pixels = checkedProduct(width, height), pixels <= limit else {
      throw ImageError(path, .png, .tooLarge(width: width, height: height, limit: limit))
    }
    // Deflate packs at most 1032 bytes into one, and a file holds at least a bit per sample.
    guard pixels / 8 <= byteCount.multipliedReportingOverflow(by: 1032).partialValue else {
      throw ImageError(path, .png, .tooShort(width: width, height: height, bytes: byteCount))
    }
    let dtype: DType = info.bit_depth == 16 ? .u16 : .u8
    var tensor = Tensor(uninitialized: [height, width, channels], dtype: dtype)
    let capacity = tensor.byteCount
    let target = tensor.uniquePointer().assumingMemoryBound(to: UInt8.self)
    let (succeeded, message) = withCodecMessage { cic_png_decode(reader, target, capacity, $0) }
    guard succeeded == 1 else { throw ImageError(path, .png, .damaged(message)) }
    return tensor
  }

  /// Makes ``decode(limit:)`` give samples as stored: indices, and grey of few bits without scaling.
  func keepSamples() { cic_png_keep_samples(reader, &info) }

  /// What a sample is, as the file's header says.
  var colorType: PNG.ColorType? { PNG.ColorType(rawValue: Int(info.file_color_type)) }

  var bitDepth: Int { Int(info.file_bit_depth) }

  /// Red, green and blue of every entry of the palette.
  var palette: [[UInt8]] {
    var colors: UnsafePointer<UInt8>?
    let count = Int(cic_png_palette(reader, &colors))
    guard let colors else { return [] }
    return (0..<count).map { [colors[$0 * 3], colors[$0 * 3 + 1], colors[$0 * 3 + 2]] }
  }

  /// Texts seen so far: those behind the pixels only after ``decode(limit:)``.
  var texts: [PNG.Text] {
    (0..<cic_png_text_count(reader)).map { index in
      let chunk = cic_png_text_at(reader, index)
      return PNG.Text(
        latin1(UnsafeRawBufferPointer(start: chunk.keyword, count: chunk.keyword.map { strlen($0) } ?? 0)),
        text(UnsafeRawBufferPointer(start: chunk.text, count: chunk.length), isUTF8: chunk.is_utf8 != 0))
    }
  }

  /// The orientation of an eXIf chunk.
  var orientation: ImageOrientation {
    var size = 0
    guard let exif = cic_png_exif(reader, &size) else { return .up }
    return ImageOrientation(exif: UnsafeRawBufferPointer(start: exif, count: size))
  }

  private func text(_ bytes: UnsafeRawBufferPointer, isUTF8: Bool) -> String {
    isUTF8 ? String(decoding: bytes, as: UTF8.self) : latin1(bytes)
  }

  private func latin1(_ bytes: UnsafeRawBufferPointer) -> String {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
    return String(text)
  }

  private func strlen(_ text: UnsafePointer<CChar>) -> Int {
    var length = 0
    while text[length] != 0 { length += 1 }
    return length
  }
}

/// Calls a function of the C codecs with room for its message.
func withCodecMessage<Result>(
  _ body: (UnsafeMutablePointer<CChar>) -> Result
) -> (result: Result, message: String) {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: CIC_MESSAGE_SIZE) { room in
    room.initialize(repeating: 0)
    guard let start = room.baseAddress else { fatalError("no room for a message") }
    let result = body(start)
    return (result, String(cString: start))
  }
}
