// MATLAB's files of version 5 (and 6, 7): arrays of numbers by name. Version 7.3 is HDF5.

import Tensor

/// The numeric arrays of a MATLAB file of version 5, compressed or not.
///
/// Source: MathWorks, "MAT-File Format", level 5.
public struct MATLABFile: Sendable {
  public let path: String
  /// Names of the numeric arrays in the order of the file.
  public let names: [String]
  private let tensors: [String: Tensor]

  /// Reads every numeric array: `u8` … `f64`, of the shape MATLAB shows. Cells, structures and texts are left out.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `MATLABError` when it is another kind of file or damaged
  public init(path: String) throws { try self.init(MappedFile(path: path)) }

  /// What compressed arrays of a file may unpack to, together.
  private static let unpackedLimit = 1 << 28

  /// Reads a file that is mapped already, or bytes in memory.
  public init(_ file: MappedFile) throws {
    let path = file.path
    var room = Self.unpackedLimit
    var found: [(String, Tensor)] = []
    try file.withBytes { bytes in
      guard bytes.count >= 128, bytes[126] == UInt8(ascii: "I"), bytes[127] == UInt8(ascii: "M"), bytes[125] == 1 else {
        throw MATLABError(path, "expected the header of a little-endian MATLAB file of version 5")
      }
      var reader = ByteReader(bytes, offset: 128)
      while reader.remaining > 0 {
        let element = try MATLABElement(&reader, path)
        if element.type == MATLABElement.compressed {
          let unpacked: [UInt8]
          do throws(Zlib.Failure) {
            unpacked = try Zlib.unpacked(element.content, limit: room)
          } catch { throw MATLABError(path, "compressed data: \(error.reason)") }
          room -= unpacked.count
          try unpacked.withUnsafeBytes {
            var inner = ByteReader($0)
            try MATLABElement(&inner, path).array(path).map { found.append($0) }
          }
        } else {
          try element.array(path).map { found.append($0) }
        }
      }
    }
    self.path = path
    names = found.map(\.0)
    tensors = Dictionary(found) { $1 }
  }

  /// - Throws: `MATLABError` when there is no numeric array of that name
  public func tensor(_ name: String) throws -> Tensor {
    guard let tensor = tensors[name] else {
      let known = names.isEmpty ? "none" : names.joined(separator: ", ")
      throw MATLABError(path, "there is no array '\(name)', only \(known)")
    }
    return tensor
  }
}

/// A tag and what follows it.
private struct MATLABElement {
  static let compressed: UInt32 = 15, matrix: UInt32 = 14
  let type: UInt32
  let content: UnsafeRawBufferPointer

  init(_ reader: inout ByteReader, _ path: String) throws {
    guard let word = reader.integer(UInt32.self) else { throw MATLABError(path, "the file ends too early") }
    if word >> 16 != 0 {  // up to 4 bytes lie in the tag itself
      type = word & 0xFFFF
      guard word >> 16 <= 4, let bytes = reader.take(4) else { throw MATLABError(path, "a damaged element") }
      content = UnsafeRawBufferPointer(rebasing: bytes[..<Int(word >> 16)])
      return
    }
    type = word
    guard let size = reader.integer(UInt32.self), let bytes = reader.take(Int(size)) else {
      throw MATLABError(path, "the file ends too early")
    }
    content = bytes
    // Elements start at multiples of 8 bytes, but for compressed ones.
    if type != Self.compressed { _ = reader.skip(min(reader.remaining, (8 - Int(size) % 8) % 8)) }
  }

  /// A numeric array and its name; nil for anything else.
  func array(_ path: String) throws -> (String, Tensor)? {
    guard type == Self.matrix else { return nil }
    var reader = ByteReader(content)
    let flags = try MATLABElement(&reader, path).content
    guard flags.count >= 8 else { throw MATLABError(path, "a damaged array") }
    guard (6...15).contains(flags[0]), flags[1] & 0x08 == 0 else { return nil }  // numeric, not complex
    let extents = try MATLABElement(&reader, path).content
    let shape = (0..<extents.count / 4).map { Int(extents.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)) }
    let name = String(decoding: try MATLABElement(&reader, path).content, as: UTF8.self)
    let data = try MATLABElement(&reader, path)
    guard let dtype = Self.types[data.type] else { throw MATLABError(path, "'\(name)' has data of unknown type") }
    guard shape.count >= 2, shape.allSatisfy({ $0 >= 0 }), let count = checkedElementCount(shape),
      count * dtype.size == data.content.count
    else { throw MATLABError(path, "'\(name)' has \(data.content.count) bytes of \(dtype) for a shape of \(shape)") }
    var stored = Tensor(uninitialized: shape.reversed(), dtype: dtype)
    let target = UnsafeMutableRawBufferPointer(start: stored.uniquePointer(), count: stored.byteCount)
    target.copyMemory(from: data.content)
    return (name, stored.permuted(shape.indices.reversed()))  // stored column by column
  }

  private static let types: [UInt32: DType] = [
    1: .i8, 2: .u8, 3: .i16, 4: .u16, 5: .i32, 6: .u32, 7: .f32, 9: .f64, 12: .i64, 13: .u64,
  ]
}

/// A MATLAB file that cannot be used.
public struct MATLABError: Error, Equatable, CustomStringConvertible {
  public let path: String
  public let reason: String

  init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "MATLAB file \(path): \(reason)" }
}
