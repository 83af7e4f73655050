// zlib over buffers of any size: its own counters are 32 bits wide.

import CZlib

enum Zlib {
  struct Failure: Error {
    let reason: String
  }

  private static let largestPiece = 1 << 30

  /// The CRC-32 of `bytes`, continuing from that of the bytes before.
  static func checksum(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
    var value = UInt(previous)
    var offset = 0
    while offset < bytes.count, let base = bytes.baseAddress {
      let count = min(bytes.count - offset, largestPiece)
      value = crc32(value, (base + offset).assumingMemoryBound(to: UInt8.self), UInt32(count))
      offset += count
    }
    return UInt32(truncatingIfNeeded: value)
  }

  /// Unpacks raw deflate data that must fill `target` exactly.
  static func inflate(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) throws(Failure) {
    var stream = z_stream()
    guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw Failure(reason: "zlib could not start")
    }
    defer { inflateEnd(&stream) }
    var spare: UInt8 = 0  // a place to write to for empty contents, and to notice contents that are too long
    var read = 0
    var written = 0
    while true {
      let input = min(source.count - read, largestPiece)
      let output = min(target.count - written, largestPiece)
      let status = withUnsafeMutablePointer(to: &spare) { spare in
        stream.next_in = source.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + read) }?
          .assumingMemoryBound(to: UInt8.self)
        stream.avail_in = UInt32(input)
        stream.next_out =
          output == 0 ? spare : target.baseAddress.map { ($0 + written).assumingMemoryBound(to: UInt8.self) }
        stream.avail_out = output == 0 ? 1 : UInt32(output)
        return CZlib.inflate(&stream, Z_NO_FLUSH)
      }
      read += input - Int(stream.avail_in)
      let produced = (output == 0 ? 1 : output) - Int(stream.avail_out)
      if output == 0, produced > 0 { throw Failure(reason: "more than \(target.count) bytes") }
      written += produced
      if status == Z_STREAM_END { break }
      guard status == Z_OK else {
        throw Failure(reason: stream.msg.map { String(cString: $0) } ?? "its end is missing")
      }
    }
    guard written == target.count else { throw Failure(reason: "\(written) bytes instead of \(target.count)") }
    guard read == source.count else { throw Failure(reason: "\(source.count - read) bytes after its end") }
  }
}

extension Zlib {
  /// Unpacks a zlib stream of unknown length.
  ///
  /// - Parameter limit: the most bytes that are taken
  static func unpacked(_ source: UnsafeRawBufferPointer, limit: Int) throws(Failure) -> [UInt8] {
    var stream = z_stream()
    guard source.count <= 1 << 30, inflateInit2_(&stream, 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw Failure(reason: "zlib could not start") }
    defer { inflateEnd(&stream) }
    var result: [UInt8] = [], piece = [UInt8](repeating: 0, count: 1 << 16)
    stream.next_in = source.baseAddress.map {
      UnsafeMutableRawPointer(mutating: $0).assumingMemoryBound(to: UInt8.self)
    }
    stream.avail_in = UInt32(source.count)
    var status = Z_OK
    while status != Z_STREAM_END {
      let produced = piece.withUnsafeMutableBufferPointer { room in
        stream.next_out = room.baseAddress
        stream.avail_out = UInt32(room.count)
        status = CZlib.inflate(&stream, Z_NO_FLUSH)
        return room.count - Int(stream.avail_out)
      }
      guard status == Z_OK || status == Z_STREAM_END else {
        throw Failure(reason: stream.msg.map { String(cString: $0) } ?? "its end is missing")
      }
      guard result.count + produced <= limit else { throw Failure(reason: "more than \(limit) bytes") }
      result += piece[..<produced]
    }
    return result
  }
}

/// Packs bytes as they come, handing the result to `output` in pieces.
struct Deflater: ~Copyable {
  private var stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private var buffer = [UInt8](repeating: 0, count: 1 << 17)
  private(set) var packedCount = 0

  /// - Parameter level: 1 (fast) to 9 (small)
  init(level: Int32) throws(Zlib.Failure) {
    stream.initialize(to: z_stream())
    let size = Int32(MemoryLayout<z_stream>.size)
    guard deflateInit2_(stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
      throw Zlib.Failure(reason: "zlib could not start")
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer, to output: (UnsafeRawBufferPointer) throws -> Void) throws {
    var offset = 0
    while offset < bytes.count, let base = bytes.baseAddress {
      let count = min(bytes.count - offset, 1 << 30)
      stream.pointee.next_in = UnsafeMutableRawPointer(mutating: base + offset).assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_in = UInt32(count)
      try drain(Z_NO_FLUSH, output)
      offset += count
    }
  }

  mutating func finish(to output: (UnsafeRawBufferPointer) throws -> Void) throws {
    stream.pointee.avail_in = 0
    try drain(Z_FINISH, output)
  }

  /// Runs until there is no more output. `deflate` cannot fail on a stream that was set up.
  private mutating func drain(_ flush: Int32, _ output: (UnsafeRawBufferPointer) throws -> Void) throws {
    let stream = stream
    var isFull = true
    while isFull {
      let count = buffer.withUnsafeMutableBufferPointer { room in
        stream.pointee.next_out = room.baseAddress
        stream.pointee.avail_out = UInt32(room.count)
        deflate(stream, flush)
        return room.count - Int(stream.pointee.avail_out)
      }
      isFull = count == buffer.count
      packedCount += count
      try buffer.withUnsafeBytes { try output(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
  }
}
