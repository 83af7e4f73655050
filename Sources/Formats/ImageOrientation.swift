// How a camera was held, from Exif data. Source: CIPA DC-008 (Exif 2.32), tag 0x0112; TIFF 6.0, section 2.

import Tensor

/// The eight ways in which the rows and columns of a stored picture can lie.
enum ImageOrientation: UInt16 {
  case up = 1
  case mirrored, upsideDown, upsideDownMirrored
  case leftMirrored, right, rightMirrored, left

  /// Reads the tag from a TIFF structure. Damaged or missing data mean ``up``: they must not stop a picture.
  init(exif: UnsafeRawBufferPointer) {
    self = Self.tag(exif).flatMap(Self.init(rawValue:)) ?? .up
  }

  private static func tag(_ bytes: UnsafeRawBufferPointer) -> UInt16? {
    guard bytes.count >= 8, bytes[0] == bytes[1], bytes[0] == UInt8(ascii: "I") || bytes[0] == UInt8(ascii: "M") else {
      return nil
    }
    let isBigEndian = bytes[0] == UInt8(ascii: "M")
    func integer<Value: FixedWidthInteger>(_ reader: inout ByteReader) -> Value? {
      isBigEndian ? reader.bigEndianInteger() : reader.integer()
    }
    var reader = ByteReader(bytes, offset: 2)
    guard let magic: UInt16 = integer(&reader), magic == 42, let start: UInt32 = integer(&reader) else { return nil }
    guard start < bytes.count else { return nil }
    reader = ByteReader(bytes, offset: Int(start))
    guard let count: UInt16 = integer(&reader) else { return nil }
    for _ in 0..<count {
      guard let tag: UInt16 = integer(&reader), let type: UInt16 = integer(&reader),
        let values: UInt32 = integer(&reader)
      else { return nil }
      if tag == 0x0112 { return type == 3 && values == 1 ? integer(&reader) : nil }
      guard reader.skip(4) else { return nil }
    }
    return nil
  }

  /// The picture as it should be seen, contiguous.
  ///
  /// - Parameter pixels: `[height, width, channels]`
  func applied(to pixels: Tensor) -> Tensor {
    switch self {
    case .up: pixels
    case .mirrored: pixels.flipped(1).contiguous()
    case .upsideDown: pixels.flipped(0, 1).contiguous()
    case .upsideDownMirrored: pixels.flipped(0).contiguous()
    case .leftMirrored: pixels.permuted(1, 0, 2).contiguous()
    case .right: pixels.permuted(1, 0, 2).flipped(1).contiguous()
    case .rightMirrored: pixels.permuted(1, 0, 2).flipped(0, 1).contiguous()
    case .left: pixels.permuted(1, 0, 2).flipped(0).contiguous()
    }
  }
}
