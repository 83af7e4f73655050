// Writing npz archives member by member.

import Tensor

/// An npz archive that is written array by array; it appears under its name when it is finished.
///
/// Types that NumPy lacks are written as `f32` (see ``Npy``). Dates are fixed, so equal arrays give equal files.
public struct NpzWriter: ~Copyable {
  private let file: AtomicFile
  private let isCompressed: Bool
  private var members: [ZipMember] = []
  private var names: Set<String> = []

  public init(path: String, compressed: Bool = false) throws {
    file = try AtomicFile(path: path)
    isCompressed = compressed
  }

  /// Appends an array.
  public mutating func write(_ name: String, _ tensor: Tensor) throws {
    let tensor = Npy.storable(tensor)
    try tensor.withContiguousBytes { try append(name, NpyHeader.encoded(tensor.dtype, tensor.shape), $0) }
  }

  /// Appends strings, as UTF-32.
  ///
  /// - Parameter shape: `[]` for one string without axes; a row of all unless given
  public mutating func write(_ name: String, strings: [String], shape: [Int]? = nil) throws {
    let bytes = Npy.encoded(strings, shape: shape ?? [strings.count])
    try append(name, bytes, UnsafeRawBufferPointer(start: nil, count: 0))
  }

  private mutating func append(_ name: String, _ header: [UInt8], _ data: UnsafeRawBufferPointer) throws {
    guard !name.isEmpty, name.utf8.count < 0xFFF0, names.insert(name).inserted else {
      throw NpzError(file.path, .unwritable("array name '\(name.prefix(80))' is empty, too long or used twice"))
    }
    var member = ZipMember()
    member.name = name + ".npy"
    member.flags = member.name.utf8.allSatisfy { $0 < 0x80 } ? 0 : 0x0800
    member.method = isCompressed ? ZipMember.deflated : ZipMember.stored
    member.headerOffset = file.position
    try file.write(Self.localHeader(member))
    let start = file.position
    try writeContents(header, data, &member)
    member.compressedSize = file.position - start
    try file.overwrite(at: member.headerOffset, Self.localHeader(member))
    members.append(member)
  }

  /// Writes the directory and gives the file its name.
  ///
  /// - Parameter synchronised: waits until the bytes are on the disk
  public consuming func finish(synchronised: Bool = false) throws {
    let start = file.position
    for member in members { try file.write(Self.directoryRecord(member)) }
    try file.write(Self.endRecords(count: members.count, start: start, size: file.position - start))
    try file.commit(synchronised: synchronised)
  }

  private func writeContents(_ header: [UInt8], _ data: UnsafeRawBufferPointer, _ member: inout ZipMember) throws {
    member.size = header.count + data.count
    try header.withUnsafeBytes { header in
      member.checksum = Zlib.checksum(data, after: Zlib.checksum(header))
      if isCompressed {
        var deflater = try Deflater(level: 6)
        try deflater.write(header, to: file.write)
        try deflater.write(data, to: file.write)
        try deflater.finish(to: file.write)
      } else {
        try file.write(header)
        try file.write(data)
      }
    }
  }

  /// Midnight of 1 January 1980, the earliest date of the format.
  private static let date: [UInt8] = [0, 0, 0x21, 0]
  private static let version: UInt16 = 45  // zip64

  /// The header before a member's data, with 64-bit sizes in a zip64 field, as NumPy writes it.
  private static func localHeader(_ member: ZipMember) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.appendLittleEndian(0x0403_4B50 as UInt32)
    bytes.appendLittleEndian(version)
    bytes.appendLittleEndian(member.flags)
    bytes.appendLittleEndian(member.method)
    bytes += date
    bytes.appendLittleEndian(member.checksum)
    bytes.appendLittleEndian(UInt32.max)
    bytes.appendLittleEndian(UInt32.max)
    bytes.appendLittleEndian(UInt16(member.name.utf8.count))
    bytes.appendLittleEndian(20 as UInt16)
    bytes += member.name.utf8
    bytes += extra64([member.size, member.compressedSize])
    return bytes
  }

  private static func extra64(_ values: [Int]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.appendLittleEndian(1 as UInt16)
    bytes.appendLittleEndian(UInt16(values.count * 8))
    for value in values { bytes.appendLittleEndian(UInt64(value)) }
    return bytes
  }

  private static func directoryRecord(_ member: ZipMember) -> [UInt8] {
    let values = [member.size, member.compressedSize, member.headerOffset]
    let isLarge = values.contains { $0 >= Int(UInt32.max) }
    let extra = isLarge ? extra64(values) : []
    var bytes: [UInt8] = []
    bytes.appendLittleEndian(0x0201_4B50 as UInt32)
    bytes.appendLittleEndian(version)
    bytes.appendLittleEndian(version)
    bytes.appendLittleEndian(member.flags)
    bytes.appendLittleEndian(member.method)
    bytes += date
    bytes.appendLittleEndian(member.checksum)
    bytes.appendLittleEndian(isLarge ? .max : UInt32(member.compressedSize))
    bytes.appendLittleEndian(isLarge ? .max : UInt32(member.size))
    bytes.appendLittleEndian(UInt16(member.name.utf8.count))
    bytes.appendLittleEndian(UInt16(extra.count))
    bytes += [UInt8](repeating: 0, count: 10)  // comment, disk, attributes
    bytes.appendLittleEndian(isLarge ? .max : UInt32(member.headerOffset))
    bytes += member.name.utf8
    return bytes + extra
  }

  private static func endRecords(count: Int, start: Int, size: Int) -> [UInt8] {
    let isLarge = count >= 0xFFFF || start >= Int(UInt32.max) || size >= Int(UInt32.max)
    var bytes: [UInt8] = []
    if isLarge {
      bytes.appendLittleEndian(0x0606_4B50 as UInt32)
      bytes.appendLittleEndian(44 as UInt64)
      bytes.appendLittleEndian(version)
      bytes.appendLittleEndian(version)
      bytes.appendLittleEndian(0 as UInt64)  // disks
      for value in [count, count, size, start] { bytes.appendLittleEndian(UInt64(value)) }
      bytes.appendLittleEndian(0x0706_4B50 as UInt32)
      bytes.appendLittleEndian(0 as UInt32)
      bytes.appendLittleEndian(UInt64(start + size))
      bytes.appendLittleEndian(1 as UInt32)
    }
    bytes.appendLittleEndian(0x0605_4B50 as UInt32)
    bytes.appendLittleEndian(0 as UInt32)  // disks
    bytes.appendLittleEndian(isLarge ? .max : UInt16(count))
    bytes.appendLittleEndian(isLarge ? .max : UInt16(count))
    bytes.appendLittleEndian(isLarge ? .max : UInt32(size))
    bytes.appendLittleEndian(isLarge ? .max : UInt32(start))
    bytes.appendLittleEndian(0 as UInt16)
    return bytes
  }
}
