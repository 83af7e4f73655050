// Portable Network Graphics, through libpng.

import CImageCodecs
import Tensor

/// Reading and writing PNG files.
public enum PNG {
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// A text of a file: a title, a comment, the prompt that a picture was made from.
  public struct Text: Sendable, Equatable {
    /// 1 to 79 characters of Latin-1.
    public var keyword: String
    public var text: String

    public init(_ keyword: String, _ text: String) {
      self.keyword = keyword
      self.text = text
    }
  }

  /// A picture as it is in the file, but for palettes, grey of less than 8 bits and transparent colours, which are
  /// expanded.
  public struct Picture: Sendable {
    /// `u8`, or `u16` for a file of 16 bits, `[height, width, channels]`; 1 channel is grey, 2 grey and alpha, 3 RGB,
    /// 4 RGB and alpha (not premultiplied).
    public var pixels: Tensor
    /// The texts in the order of the file (chunks tEXt, zTXt and iTXt).
    public var texts: [Text]

    /// The first text of a keyword.
    public func text(_ keyword: String) -> String? { texts.first { $0.keyword == keyword }?.text }
  }

  /// Reads a picture and its texts. Samples are as stored: gAMA and colour profiles are not applied, as in Pillow.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `ImageError` when it is too large or damaged
  public static func read(path: String, options: ImageOptions = ImageOptions()) throws -> Picture {
    try read(MappedFile(path: path), options: options)
  }

  /// Reads a picture from a file that is mapped already, or from bytes in memory.
  public static func read(_ file: MappedFile, options: ImageOptions = ImageOptions()) throws -> Picture {
    try file.withBytes { bytes in
      let decoder = try PNGDecoder(bytes, path: file.path)
      let pixels = try decoder.decode(limit: options.maximumPixels)
      let orientation = options.appliesOrientation ? decoder.orientation : .up
      return Picture(pixels: orientation.applied(to: pixels), texts: decoder.texts)
    }
  }

  /// Reads only the texts in front of the pixels.
  public static func texts(path: String) throws -> [Text] {
    let file = try MappedFile(path: path)
    return try file.withBytes { try PNGDecoder($0, path: path).texts }
  }

  /// Writes a picture. The file appears under its name complete.
  ///
  /// - Parameter pixels: `u8` or `u16`, `[height, width, channels]` with 1 (grey) to 4 (RGB and alpha) channels, or
  ///   `[height, width]` for grey
  /// - Parameter texts: stored as tEXt when they are ASCII, as iTXt (UTF-8) otherwise
  /// - Parameter compressionLevel: 0 (none) to 9 (smallest)
  /// - Throws: `ImageError` when the tensor is no picture or a keyword is not allowed, `FileError` when the file cannot
  ///   be written
  public static func write(
    _ pixels: Tensor, to path: String, texts: [Text] = [], compressionLevel: Int = 6, synchronised: Bool = false
  ) throws {
    let bytes = try encode(pixels, texts: texts, compressionLevel: compressionLevel, name: path)
    try AtomicFile.write(bytes, to: path, synchronised: synchronised)
  }

  /// The bytes of a PNG file.
  ///
  /// - Parameter name: stands for the path in error messages
  public static func encode(
    _ pixels: Tensor, texts: [Text] = [], compressionLevel: Int = 6, name: String = "in memory"
  ) throws -> [UInt8] {
    let shape = pixels.rank == 2 ? pixels.shape + [1] : pixels.shape
    guard pixels.dtype == .u8 || pixels.dtype == .u16, shape.count == 3, (1...4).contains(shape[2]),
      (1...0x7FFF_FFFF).contains(shape[0]), (1...0x7FFF_FFFF).contains(shape[1])
    else {
      let expected = "expected u8 or u16 [height, width, 1 to 4 channels]"
      throw ImageError(name, .png, .unwritable("\(expected), found \(pixels.dtype) \(pixels.shape)"))
    }
    let level = Int32(min(max(compressionLevel, 0), 9))
    return try pixels.withContiguousBytes { bytes in
      var picture = cic_png_picture()
      picture.pixels = bytes.bindMemory(to: UInt8.self).baseAddress
      (picture.height, picture.width) = (UInt32(shape[0]), UInt32(shape[1]))
      (picture.channels, picture.bit_depth) = (Int32(shape[2]), Int32(pixels.dtype.size * 8))
      picture.compression_level = level
      return try PNGEncodedTexts(texts, name: name).withChunks { try encode(picture, $0, name: name) }
    }
  }

  private static func encode(
    _ picture: cic_png_picture, _ chunks: UnsafeBufferPointer<cic_png_text>, name: String
  ) throws -> [UInt8] {
    var size = 0
    let (bytes, message) = withCodecMessage { message in
      withUnsafePointer(to: picture) { cic_png_encode($0, chunks.baseAddress, chunks.count, &size, message) }
    }
    guard let bytes else { throw ImageError(name, .png, .unwritable(message)) }
    defer { cic_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: size))
  }
}

/// Texts as the encoder takes them: zero-terminated keywords and contents, in memory that stays where it is.
private struct PNGEncodedTexts {
  private struct Item {
    let keyword, text: [UInt8]
    let isUTF8: Bool
  }

  private var items: [Item] = []

  init(_ texts: [PNG.Text], name: String) throws {
    for text in texts {
      let keyword = text.keyword.unicodeScalars.compactMap { scalar in
        (0x20...0x7E).contains(scalar.value) || (0xA1...0xFF).contains(scalar.value) ? UInt8(scalar.value) : nil
      }
      let isClean = keyword.first != 0x20 && keyword.last != 0x20 && !text.keyword.contains("  ")
      guard (1...79).contains(keyword.count), keyword.count == text.keyword.unicodeScalars.count, isClean else {
        let reason =
          "text keyword '\(text.keyword)', expected 1 to 79 printable Latin-1 characters without outer spaces"
        throw ImageError(name, .png, .unwritable(reason))
      }
      guard !text.text.utf8.contains(0) else {
        throw ImageError(name, .png, .unwritable("text '\(text.keyword)' contains a zero byte"))
      }
      let isUTF8 = !text.text.utf8.allSatisfy { $0 < 0x80 }
      items.append(Item(keyword: keyword + [0], text: Array(text.text.utf8) + [0], isUTF8: isUTF8))
    }
  }

  func withChunks<Result>(_ body: (UnsafeBufferPointer<cic_png_text>) throws -> Result) rethrows -> Result {
    var memory: [UnsafeMutableBufferPointer<CChar>] = []
    defer { for block in memory { block.deallocate() } }
    func pinned(_ bytes: [UInt8]) -> UnsafePointer<CChar>? {
      let block = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
      _ = block.initialize(from: bytes.map { CChar(bitPattern: $0) })
      memory.append(block)
      return UnsafePointer(block.baseAddress)
    }
    let chunks = items.map { item in
      cic_png_text(
        keyword: pinned(item.keyword), text: pinned(item.text), length: item.text.count - 1,
        is_utf8: item.isUTF8 ? 1 : 0)
    }
    return try chunks.withUnsafeBufferPointer(body)
  }
}
