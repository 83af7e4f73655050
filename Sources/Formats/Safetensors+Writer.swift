// Writing safetensors files.

import Tensor

/// A safetensors file that is written tensor by tensor, so that a checkpoint never has to be in memory at once.
///
/// Announce all tensors first, then hand in their values in the order of ``announcements``. The file appears under its name
/// with ``finish(synchronised:)``; without it nothing is left behind.
///
/// The order is that of the reference library: larger element types first, then by name (by the bytes of its UTF-8),
/// which keeps every tensor aligned to its element size. The header is padded with spaces to a multiple of 8 bytes,
/// and metadata is sorted, so equal contents give equal files.
public final class SafetensorsWriter {
  /// A tensor to come.
  public struct Announcement: Sendable {
    public let name: String
    public let dtype: DType
    public let shape: [Int]

    public init(_ name: String, _ dtype: DType, _ shape: [Int]) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
    }
  }

  /// The tensors in the order in which their values are expected.
  public let announcements: [Announcement]
  private let file: AtomicFile
  private var written = 0

  /// Creates the temporary file and writes the header.
  public init(path: String, _ announcements: [Announcement], metadata: [String: String] = [:]) throws {
    self.announcements = announcements.sorted { a, b in
      a.dtype.size != b.dtype.size ? a.dtype.size > b.dtype.size : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
    }
    var names: Set<String> = [SafetensorsHeader.metadataKey]
    for announcement in announcements where !names.insert(announcement.name).inserted {
      throw SafetensorsError(path, .unwritable("the name '\(announcement.name)' is used twice, or reserved"))
    }
    file = try AtomicFile(path: path)
    try file.write(Self.header(self.announcements, metadata, path))
  }

  /// Writes the values of the next tensor.
  ///
  /// - Parameter name: must be that of `announcements[n]` in the `n`-th call, and type and shape the announced ones
  public func write(_ name: String, _ tensor: Tensor) throws {
    guard written < announcements.count else {
      throw SafetensorsError(file.path, .unwritable("tensor '\(name)' was not announced"))
    }
    let expected = announcements[written]
    guard name == expected.name, tensor.dtype == expected.dtype, tensor.shape == expected.shape else {
      throw SafetensorsError(
        file.path,
        .unwritable(
          "expected tensor '\(expected.name)', \(expected.dtype) \(expected.shape), "
            + "found '\(name)', \(tensor.dtype) \(tensor.shape)"))
    }
    try tensor.withContiguousBytes { try file.write($0) }
    written += 1
  }

  /// Gives the file its name.
  ///
  /// - Parameter synchronised: waits until the bytes are on the disk
  public func finish(synchronised: Bool = false) throws {
    guard written == announcements.count else {
      throw SafetensorsError(file.path, .unwritable("tensor '\(announcements[written].name)' was not written"))
    }
    try file.commit(synchronised: synchronised)
  }

  private static func header(
    _ announcements: [Announcement], _ metadata: [String: String], _ path: String
  ) throws -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\(jsonQuoted($0.key)):\(jsonQuoted($0.value))" }
      members.append("\"\(SafetensorsHeader.metadataKey)\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for announcement in announcements {
      let type = SafetensorsDType(announcement.dtype)
      guard let count = checkedElementCount(announcement.shape),
        let end = checkedSum(offset, count * announcement.dtype.size)
      else { throw SafetensorsError(path, .shape(tensor: announcement.name, announcement.shape)) }
      let shape = announcement.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(jsonQuoted(announcement.name)):{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var text = Array("{\(members.joined(separator: ","))}".utf8)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    guard text.count <= SafetensorsHeader.maximumLength else {
      throw SafetensorsError(path, .headerLength(found: UInt64(text.count), available: SafetensorsHeader.maximumLength))
    }
    var bytes: [UInt8] = []
    bytes.appendLittleEndian(UInt64(text.count))
    return bytes + text
  }
}

extension SafetensorsFile {
  /// Writes tensors to a new file, which replaces an old one atomically.
  ///
  /// Nothing but what isn't contiguous is copied, one tensor at a time.
  public static func write(
    _ tensors: [String: Tensor], to path: String, metadata: [String: String] = [:], synchronised: Bool = false
  ) throws {
    let announcements = tensors.map { SafetensorsWriter.Announcement($0.key, $0.value.dtype, $0.value.shape) }
    let writer = try SafetensorsWriter(path: path, announcements, metadata: metadata)
    for announcement in writer.announcements {
      if let tensor = tensors[announcement.name] { try writer.write(announcement.name, tensor) }
    }
    try writer.finish(synchronised: synchronised)
  }
}

extension Tensor {
  /// Lends the elements in row-major order as bytes, copying only when they do not lie so.
  func withContiguousBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    let packed = contiguous()
    return try withExtendedLifetime(packed) {
      try body(UnsafeRawBufferPointer(start: packed.rawPointer, count: packed.byteCount))
    }
  }
}

/// `text` as a JSON string.
func jsonQuoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\u{0}"..<"\u{20}":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
