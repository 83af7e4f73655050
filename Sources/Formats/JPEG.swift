// JPEG files, through libjpeg-turbo.

import CImageCodecs
import Tensor

/// Reading JPEG files, and writing them.
public enum JPEG {
  /// Reads a picture: grey or colour, baseline or progressive, of 8 bits.
  ///
  /// CMYK and YCCK become RGB as in Pillow's `convert("RGB")`: inks are taken as inverted (Adobe's convention), and
  /// no profile is applied. Damage that libjpeg repairs with a warning, such as a premature end, is an error.
  ///
  /// - Returns: `u8`, `[height, width, 1]` for grey, `[height, width, 3]` for colour
  /// - Throws: `FileError` when the file cannot be mapped, `ImageError` when it is too large or damaged
  public static func read(path: String, options: ImageOptions = ImageOptions()) throws -> Tensor {
    try read(MappedFile(path: path), options: options)
  }

  /// Reads a picture from a file that is mapped already, or from bytes in memory.
  public static func read(_ file: MappedFile, options: ImageOptions = ImageOptions()) throws -> Tensor {
    try file.withBytes { bytes in
      let decoder = try JPEGDecoder(bytes, path: file.path)
      let pixels = try decoder.decode(limit: options.maximumPixels)
      return options.appliesOrientation ? decoder.orientation.applied(to: pixels) : pixels
    }
  }
}

extension JPEG {
  /// The bytes of a JPEG file.
  ///
  /// - Parameters:
  ///   - pixels: `u8`, `[height, width, 3]`
  ///   - quality: 1 (smallest) to 100
  ///   - name: stands for the path in error messages
  /// - Throws: `ImageError` for a tensor that is no picture, or has more than 65,500 pixels along a side
  public static func encode(_ pixels: Tensor, quality: Int = 90, name: String = "in memory") throws -> [UInt8] {
    guard pixels.dtype == .u8, pixels.rank == 3, pixels.shape[2] == 3, pixels.count > 0 else {
      throw ImageError(
        name, .jpeg, .unwritable("expected u8 [height, width, 3], found \(pixels.dtype) \(pixels.shape)"))
    }
    return try pixels.withContiguousBytes { bytes in
      var size = 0
      let (file, message) = withCodecMessage { message in
        cic_jpeg_encode(
          bytes.bindMemory(to: UInt8.self).baseAddress, UInt32(clamping: pixels.shape[1]),
          UInt32(clamping: pixels.shape[0]), Int32(min(max(quality, 1), 100)), &size, message)
      }
      guard let file else { throw ImageError(name, .jpeg, .unwritable(message)) }
      defer { cic_free(file) }
      return Array(UnsafeBufferPointer(start: file, count: size))
    }
  }
}

/// One JPEG file being read. `bytes` must outlive it.
private final class JPEGDecoder {
  private let reader: OpaquePointer
  private let info: cic_jpeg_info
  private let byteCount: Int
  private let path: String
  let orientation: ImageOrientation

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    var info = cic_jpeg_info()
    let (reader, message) = withCodecMessage { message in
      cic_jpeg_open(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, &info, message)
    }
    guard let reader else { throw ImageError(path, .jpeg, .damaged(message)) }
    self.reader = reader
    self.info = info
    self.path = path
    byteCount = bytes.count
    var size = 0
    let exif = cic_jpeg_exif(reader, &size)
    orientation = exif.map { ImageOrientation(exif: UnsafeRawBufferPointer(start: $0, count: size)) } ?? .up
  }

  deinit { cic_jpeg_close(reader) }

  /// `[height, width, channels]`
  func decode(limit: Int) throws -> Tensor {
    let width = Int(info.width)
    let height = Int(info.height)
    guard let pixels = checkedProduct(width, height), pixels <= limit else {
      throw ImageError(path, .jpeg, .tooLarge(width: width, height: height, limit: limit))
    }
    // Huffman coding takes at least a bit for each unit of at most 32 x 32 pixels.
    guard info.arithmetic_coding != 0 || pixels / (32 * 32 * 8) <= byteCount else {
      throw ImageError(path, .jpeg, .tooShort(width: width, height: height, bytes: byteCount))
    }
    var tensor = Tensor(uninitialized: [height, width, Int(info.channels)], dtype: .u8)
    let capacity = tensor.byteCount
    let target = tensor.freshPointer(as: UInt8.self)
    let (succeeded, message) = withCodecMessage { cic_jpeg_decode(reader, target, capacity, $0) }
    guard succeeded == 1 else { throw ImageError(path, .jpeg, .damaged(message)) }
    return tensor
  }
}
