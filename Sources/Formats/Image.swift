// Pictures in files: PNG and JPEG to tensors, tensors to PNG.

import Tensor

/// What a reader of pictures accepts and how it turns them.
public struct ImageOptions: Sendable {
  /// Largest number of pixels; larger pictures are refused before memory is taken for them.
  public var maximumPixels: Int
  /// Whether the orientation in a picture's Exif data is applied, as `PIL.ImageOps.exif_transpose` (and `load_image` of
  /// diffusers) does. Without it the picture is as the camera's sensor saw it.
  public var appliesOrientation: Bool

  public init(maximumPixels: Int = 1 << 28, appliesOrientation: Bool = true) {
    self.maximumPixels = maximumPixels
    self.appliesOrientation = appliesOrientation
  }
}

/// Reading any supported picture as RGB.
public enum Image {
  /// The formats, told by a file's first bytes, never by its name.
  public enum Format: String, Sendable {
    case png = "PNG"
    case jpeg = "JPEG"
    /// Read by ``GIF``, as frames.
    case gif = "GIF"
  }

  /// The format of a file that begins with `bytes`, or nil when it is none of them.
  public static func format(of bytes: UnsafeRawBufferPointer) -> Format? {
    if bytes.starts(with: PNG.signature) { return .png }
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return .jpeg }
    if bytes.starts(with: Array("GIF8".utf8)) { return .gif }
    return nil
  }

  /// Reads a PNG or JPEG file as 8-bit RGB: grey is repeated, alpha is dropped (not blended, as Pillow's
  /// `convert("RGB")`), 16 bits are cut to their upper 8.
  ///
  /// Pillow cuts 16-bit colour in the same way, but clips 16-bit grey to 255; here grey is treated as colour is.
  ///
  /// - Returns: `u8`, `[height, width, 3]`
  /// - Throws: `FileError` when the file cannot be mapped, `ImageError` when it is neither PNG nor JPEG, too large or
  ///   damaged
  public static func read(path: String, options: ImageOptions = ImageOptions()) throws -> Tensor {
    try read(MappedFile(path: path), options: options)
  }

  /// Reads a picture from a file that is mapped already, or from bytes in memory.
  public static func read(_ file: MappedFile, options: ImageOptions = ImageOptions()) throws -> Tensor {
    switch file.withBytes(format(of:)) {
    case .png: return rgb(try PNG.read(file, options: options).pixels)
    case .jpeg: return rgb(try JPEG.read(file, options: options))
    case .gif, nil: throw ImageError(file.path, nil, .unknownFormat)
    }
  }

  /// A picture of any number of channels and either depth as 8-bit RGB.
  ///
  /// - Parameter pixels: `u8` or `u16`, `[height, width, 1...4]`
  static func rgb(_ pixels: Tensor) -> Tensor {
    let count = pixels.shape[0] * pixels.shape[1]
    let channels = pixels.shape[2]
    if pixels.dtype == .u8, channels == 3 { return pixels }
    var result = Tensor(uninitialized: [pixels.shape[0], pixels.shape[1], 3], dtype: .u8)
    let target = result.freshPointer(as: UInt8.self)
    pixels.withContiguousBytes { bytes in
      // The upper byte of a little-endian sample is its second.
      let sampleBytes = pixels.dtype.size
      let pixelBytes = sampleBytes * channels
      let green = channels > 2 ? sampleBytes : 0
      for index in 0..<count {
        let pixel = index * pixelBytes + sampleBytes - 1
        target[index * 3] = bytes[pixel]
        target[index * 3 + 1] = bytes[pixel + green]
        target[index * 3 + 2] = bytes[pixel + green * 2]
      }
    }
    return result
  }
}

/// A picture that cannot be read or written.
public struct ImageError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    /// Neither PNG nor JPEG.
    case unknownFormat
    /// More pixels than allowed.
    case tooLarge(width: Int, height: Int, limit: Int)
    /// The file is too short to hold the picture that its header announces.
    case tooShort(width: Int, height: Int, bytes: Int)
    /// What the decoder found wrong.
    case damaged(String)
    /// A tensor that is no picture, or a text that the format cannot hold.
    case unwritable(String)
  }

  public let path: String
  /// The format as which the file was read; nil when it is none of them.
  public let format: Image.Format?
  public let problem: Problem

  public init(_ path: String, _ format: Image.Format?, _ problem: Problem) {
    self.path = path
    self.format = format
    self.problem = problem
  }

  public var description: String { "\(format.map { "\($0.rawValue) file" } ?? "picture") \(path): \(text)" }

  private var text: String {
    switch problem {
    case .unknownFormat: "expected a PNG or JPEG file, found neither"
    case .tooLarge(let width, let height, let limit):
      "found \(width) x \(height) pixels, expected at most \(limit) in total"
    case .tooShort(let width, let height, let bytes):
      "\(bytes) bytes cannot hold the \(width) x \(height) pixels that the header announces"
    case .damaged(let reason): reason
    case .unwritable(let reason): "cannot write: \(reason)"
    }
  }
}
