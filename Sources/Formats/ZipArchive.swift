// The parts of the zip format that npz files use. Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

import CZlib

/// One file of an archive, as the central directory describes it.
struct ZipMember {
  var name = ""
  var flags: UInt16 = 0
  var method: UInt16 = 0
  var checksum: UInt32 = 0
  var compressedSize = 0
  var size = 0
  var headerOffset = 0

  static let stored: UInt16 = 0
  static let deflated: UInt16 = 8
}

/// A zip archive in a mapped file. Sizes come from the central directory, so data descriptors need no attention.
struct ZipArchive {
  let file: MappedFile
  private(set) var members: [ZipMember] = []

  private static let endSignature: UInt32 = 0x0605_4B50
  private static let end64Signature: UInt32 = 0x0606_4B50
  private static let locator64Signature: UInt32 = 0x0706_4B50
  private static let memberSignature: UInt32 = 0x0201_4B50
  private static let localSignature: UInt32 = 0x0403_4B50
  private static let endSize = 22

  init(_ file: MappedFile) throws {
    self.file = file
    try file.withBytes { bytes in
      var directory = try Self.findDirectory(bytes, file.path)
      guard directory.count <= directory.size / 46 else {
        throw NpzError(file.path, .directory("\(directory.count) members do not fit into \(directory.size) bytes"))
      }
      guard let end = checkedSum(directory.offset, directory.size), end <= bytes.count else {
        throw NpzError(file.path, .directory("at \(directory.offset), beyond the end of the file"))
      }
      directory.size = end - directory.offset
      var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<end]), offset: directory.offset)
      members.reserveCapacity(directory.count)
      for index in 0..<directory.count {
        guard let member = Self.member(&reader) else {
          throw NpzError(file.path, .directory("record \(index) of \(directory.count) is damaged"))
        }
        members.append(member)
      }
    }
  }

  private struct Directory {
    var count = 0, size = 0, offset = 0
  }

  /// The end record stands at the end of the file, before a comment of up to 64 KiB.
  private static func findDirectory(_ bytes: UnsafeRawBufferPointer, _ path: String) throws -> Directory {
    guard bytes.count >= endSize else { throw NpzError(path, .notZip) }
    let last = bytes.count - endSize
    for offset in stride(from: last, through: max(0, last - 0xFFFF), by: -1) {
      var reader = ByteReader(bytes, offset: offset)
      guard reader.integer(UInt32.self) == endSignature, reader.skip(6), let count = reader.integer(UInt16.self),
        let size = reader.integer(UInt32.self), let start = reader.integer(UInt32.self),
        let comment = reader.integer(UInt16.self), Int(comment) == reader.remaining
      else { continue }
      if count == .max || size == .max || start == .max { return try findDirectory64(bytes, before: offset, path) }
      return Directory(count: Int(count), size: Int(size), offset: Int(start))
    }
    throw NpzError(path, .notZip)
  }

  private static func findDirectory64(
    _ bytes: UnsafeRawBufferPointer, before end: Int, _ path: String
  ) throws -> Directory {
    var locator = ByteReader(bytes, offset: end - 20)
    guard end >= 20, locator.integer(UInt32.self) == locator64Signature, locator.skip(4),
      let position = locator.integer(UInt64.self).flatMap({ Int(exactly: $0) }), position <= bytes.count
    else { throw NpzError(path, .directory("expected a zip64 locator at \(end - 20)")) }
    var reader = ByteReader(bytes, offset: position)
    guard reader.integer(UInt32.self) == end64Signature, reader.skip(28),
      let count = reader.integer(UInt64.self).flatMap({ Int(exactly: $0) }),
      let size = reader.integer(UInt64.self).flatMap({ Int(exactly: $0) }),
      let start = reader.integer(UInt64.self).flatMap({ Int(exactly: $0) })
    else { throw NpzError(path, .directory("expected a zip64 end record at \(position)")) }
    return Directory(count: count, size: size, offset: start)
  }

  /// The next record of the central directory; nil when it is damaged.
  private static func member(_ reader: inout ByteReader) -> ZipMember? {
    var member = ZipMember()
    guard reader.integer(UInt32.self) == memberSignature, reader.skip(4),
      let flags = reader.integer(UInt16.self), let method = reader.integer(UInt16.self), reader.skip(4),
      let checksum = reader.integer(UInt32.self), let compressedSize = reader.integer(UInt32.self),
      let size = reader.integer(UInt32.self), let nameLength = reader.integer(UInt16.self),
      let extraLength = reader.integer(UInt16.self), let commentLength = reader.integer(UInt16.self), reader.skip(8),
      let headerOffset = reader.integer(UInt32.self), let name = reader.take(Int(nameLength)),
      let extra = reader.take(Int(extraLength)), reader.skip(Int(commentLength)),
      let text = String(validating: name, as: UTF8.self)
    else { return nil }
    (member.name, member.flags, member.method, member.checksum) = (text, flags, method, checksum)
    (member.compressedSize, member.size) = (Int(compressedSize), Int(size))
    member.headerOffset = Int(headerOffset)
    return applyExtra64(extra, &member) ? member : nil
  }

  /// Fields that are all ones in the record are in the zip64 extra field, in this order.
  private static func applyExtra64(_ extra: UnsafeRawBufferPointer, _ member: inout ZipMember) -> Bool {
    let isMissing = { (value: Int) in value == Int(UInt32.max) }
    guard isMissing(member.size) || isMissing(member.compressedSize) || isMissing(member.headerOffset) else {
      return true
    }
    var reader = ByteReader(extra)
    while let kind = reader.integer(UInt16.self), let length = reader.integer(UInt16.self),
      let field = reader.take(Int(length))
    {
      guard kind == 1 else { continue }
      var values = ByteReader(field)
      for path in [\ZipMember.size, \.compressedSize, \.headerOffset] where isMissing(member[keyPath: path]) {
        guard let value = values.integer(UInt64.self).flatMap({ Int(exactly: $0) }) else { return false }
        member[keyPath: path] = value
      }
      return true
    }
    return false
  }

  /// The member's bytes, unpacked and compared with their checksum: a range of a file, this one for stored members.
  func contents(_ member: ZipMember) throws -> (file: MappedFile, range: Range<Int>) {
    guard member.flags & 1 == 0 else { throw NpzError(file.path, .encrypted(member: member.name)) }
    let range = try packedRange(member)
    let result: (file: MappedFile, range: Range<Int>)
    switch member.method {
    case ZipMember.stored:
      guard member.size == member.compressedSize else {
        throw NpzError(
          file.path, .size(member: member.name, found: member.compressedSize, expected: member.size))
      }
      result = (file, range)
    case ZipMember.deflated:
      result = (try inflated(member, range), 0..<member.size)
    default:
      throw NpzError(file.path, .unsupportedMethod(member: member.name, method: member.method))
    }
    let found = result.file.withBytes { Zlib.checksum(UnsafeRawBufferPointer(rebasing: $0[result.range])) }
    guard found == member.checksum else {
      throw NpzError(file.path, .checksum(member: member.name, found: found, expected: member.checksum))
    }
    return result
  }

  private func packedRange(_ member: ZipMember) throws -> Range<Int> {
    try file.withBytes { bytes in
      var reader = ByteReader(bytes, offset: member.headerOffset)
      guard member.headerOffset <= bytes.count, reader.integer(UInt32.self) == Self.localSignature, reader.skip(22),
        let nameLength = reader.integer(UInt16.self), let extraLength = reader.integer(UInt16.self),
        reader.skip(Int(nameLength) + Int(extraLength)), member.compressedSize <= reader.remaining
      else {
        throw NpzError(file.path, .directory("member '\(member.name)' is not at \(member.headerOffset)"))
      }
      return reader.offset..<reader.offset + member.compressedSize
    }
  }

  private func inflated(_ member: ZipMember, _ range: Range<Int>) throws -> MappedFile {
    // Deflate packs at most 1032 bytes into one: a larger claim is wrong, and must not allocate.
    guard let limit = checkedProduct(member.compressedSize, 1032), member.size <= limit else {
      throw NpzError(
        file.path, .size(member: member.name, found: member.compressedSize, expected: member.size))
    }
    return try MappedFile(name: file.path, count: member.size) { target in
      try file.withBytes { bytes in
        do throws(Zlib.Failure) {
          try Zlib.inflate(UnsafeRawBufferPointer(rebasing: bytes[range]), into: target)
        } catch {
          throw NpzError(file.path, .deflate(member: member.name, reason: error.reason))
        }
      }
    }
  }
}
