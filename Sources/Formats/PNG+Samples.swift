// Samples as a PNG file stores them: what masks of labels need.

import Tensor

extension PNG {
  /// What the samples of a pixel are; raw values are those of the file.
  public enum ColorType: Int, Sendable {
    case grey = 0
    case rgb = 2
    /// One index into the palette.
    case palette = 3
    case greyAlpha = 4
    case rgba = 6
  }

  /// A picture whose samples mean numbers, not light.
  public struct Samples: Sendable {
    /// `u8`, or `u16` for a file of 16 bits, `[height, width, channels]`: values as stored, one byte each for 1, 2 and 4
    /// bits too. A palette's are indices, and may lie beyond its end.
    public let values: Tensor
    public let colorType: ColorType
    /// 1, 2, 4, 8 or 16.
    public let bitDepth: Int
    /// Red, green and blue of every entry; empty without a palette.
    public let palette: [[UInt8]]
  }

  /// Reads samples as stored: indices instead of a palette's colours, grey of few bits without scaling.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `ImageError` when it is too large or damaged
  public static func readSamples(path: String, options: ImageOptions = ImageOptions()) throws -> Samples {
    let file = try MappedFile(path: path)
    return try file.withBytes { bytes in
      let decoder = try PNGDecoder(bytes, path: path)
      guard let type = decoder.colorType else { throw ImageError(path, .png, .damaged("an unknown colour type")) }
      decoder.keepSamples()
      let values = try decoder.decode(limit: options.maximumPixels)
      return Samples(values: values, colorType: type, bitDepth: decoder.bitDepth, palette: decoder.palette)
    }
  }
}
