// The header of a safetensors file: names, types, shapes and places of the tensors, checked before anything is used.

import Tensor

/// The element types of the format, by their names in the header.
public enum SafetensorsDType: String, CaseIterable, Sendable {
  case bool = "BOOL"
  case float4 = "F4"
  case float6E2M3 = "F6_E2M3"
  case float6E3M2 = "F6_E3M2"
  case uint8 = "U8"
  case int8 = "I8"
  case float8E5M2 = "F8_E5M2"
  case float8E4M3 = "F8_E4M3"
  case float8E8M0 = "F8_E8M0"
  case float8E4M3FNUZ = "F8_E4M3FNUZ"
  case float8E5M2FNUZ = "F8_E5M2FNUZ"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case complex64 = "C64"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  /// Bits of one element.
  public var bitWidth: Int {
    switch self {
    case .float4: 4
    case .float6E2M3, .float6E3M2: 6
    case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ: 8
    case .int16, .uint16, .float16, .bfloat16: 16
    case .int32, .uint32, .float32: 32
    case .complex64, .float64, .int64, .uint64: 64
    }
  }
}

/// Where one tensor of a safetensors file lies and what it is.
public struct SafetensorsEntry: Equatable, Sendable {
  public let name: String
  public let dtype: SafetensorsDType
  public let shape: [Int]
  /// Bytes from the beginning of the file.
  public let range: Range<Int>
}

/// A parsed and checked header.
struct SafetensorsHeader {
  /// In the order of their data.
  var entries: [SafetensorsEntry] = []
  var metadata: [String: String] = [:]

  /// The reference library's limit.
  static let maximumLength = 100_000_000
  static let metadataKey = "__metadata__"

  /// - Parameter file: all bytes of the file
  init(_ file: UnsafeRawBufferPointer, path: String) throws {
    var reader = ByteReader(file)
    guard let length = reader.integer(UInt64.self) else {
      throw SafetensorsError(path, .tooShort(bytes: file.count))
    }
    let available = min(reader.remaining, Self.maximumLength)
    guard let count = Int(exactly: length), count <= available, let text = reader.take(count) else {
      throw SafetensorsError(path, .headerLength(found: length, available: available))
    }
    var parser = SafetensorsHeaderParser(text, path: path)
    do {
      try parser.parse()
    } catch let failure as JSONCursor.Failure {
      throw SafetensorsError(path, .syntax(offset: failure.offset, expected: failure.expected))
    }
    metadata = parser.metadata
    try place(parser.entries, dataStart: reader.offset, dataSize: reader.remaining, path: path)
  }

  /// Checks that the tensors follow each other without holes and overlaps up to the end of the file.
  private mutating func place(
    _ parsed: [SafetensorsHeaderParser.Entry], dataStart: Int, dataSize: Int, path: String
  ) throws {
    var end = 0
    entries.reserveCapacity(parsed.count)
    for entry in parsed.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
      guard entry.begin == end, entry.begin <= entry.end else {
        let found = entry.begin <= entry.end ? entry.begin..<entry.end : nil
        throw SafetensorsError(path, .offsets(tensor: entry.name, found: found, expectedStart: end))
      }
      let size = try entry.byteCount(path: path)
      guard entry.end - entry.begin == size else {
        throw SafetensorsError(path, .size(tensor: entry.name, found: entry.end - entry.begin, expected: size))
      }
      guard entry.end <= dataSize else {
        throw SafetensorsError(path, .dataSize(found: dataSize, expected: entry.end))
      }
      end = entry.end
      entries.append(
        SafetensorsEntry(
          name: entry.name, dtype: entry.dtype, shape: entry.shape,
          range: dataStart + entry.begin..<dataStart + entry.end))
    }
    guard end == dataSize else { throw SafetensorsError(path, .dataSize(found: dataSize, expected: end)) }
  }
}

/// Reads the JSON of a header; what the numbers mean together is checked afterwards.
struct SafetensorsHeaderParser {
  struct Entry {
    let name: String
    let dtype: SafetensorsDType
    let shape: [Int]
    let begin, end: Int

    /// Bytes that type and shape ask for.
    func byteCount(path: String) throws -> Int {
      guard let elements = checkedElementCount(shape), let bits = checkedProduct(elements, dtype.bitWidth) else {
        throw SafetensorsError(path, .shape(tensor: name, shape))
      }
      return (bits + 7) / 8
    }
  }

  private(set) var entries: [Entry] = []
  private(set) var metadata: [String: String] = [:]
  private var names: Set<String> = []
  private var cursor: JSONCursor
  private let path: String

  init(_ text: UnsafeRawBufferPointer, path: String) {
    cursor = JSONCursor(text)
    self.path = path
  }

  mutating func parse() throws {
    var cursor = cursor
    try cursor.object("'{'") { cursor, name in
      guard names.insert(name).inserted else { throw SafetensorsError(path, .duplicateName(name)) }
      if name == SafetensorsHeader.metadataKey {
        try parseMetadata(&cursor)
      } else {
        entries.append(try parseEntry(name, &cursor))
      }
    }
    cursor.skipSpace()
    guard cursor.isAtEnd else { throw cursor.failure("only spaces after the last '}'") }
  }

  private mutating func parseMetadata(_ cursor: inout JSONCursor) throws {
    var found: [String: String] = [:]
    try cursor.object("an object of strings as __metadata__") { cursor, key in
      guard found.updateValue(try cursor.string("a string as metadata '\(key)'"), forKey: key) == nil else {
        throw SafetensorsError(path, .duplicateName(key))
      }
    }
    metadata = found
  }

  private func parseEntry(_ name: String, _ cursor: inout JSONCursor) throws -> Entry {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try cursor.object("an object for tensor '\(name)'") { cursor, key in
      switch key {
      case "dtype" where dtype == nil: dtype = try cursor.string("a type name as dtype of '\(name)'")
      case "shape" where shape == nil: shape = try Self.naturalNumbers(&cursor, "shape", name)
      case "data_offsets" where offsets == nil:
        offsets = try Self.naturalNumbers(&cursor, "data_offsets", name)
      case "dtype", "shape", "data_offsets": throw SafetensorsError(path, .duplicateName("\(name)/\(key)"))
      default: try cursor.skipValue()
      }
    }
    guard let dtype, let shape, let offsets else {
      throw cursor.failure("dtype, shape and data_offsets of tensor '\(name)' before here")
    }
    guard offsets.count == 2 else {
      throw cursor.failure("two data_offsets of tensor '\(name)', not \(offsets.count), before here")
    }
    guard let known = SafetensorsDType(rawValue: dtype) else {
      throw SafetensorsError(path, .unknownDType(tensor: name, dtype: dtype))
    }
    return Entry(name: name, dtype: known, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private static func naturalNumbers(
    _ cursor: inout JSONCursor, _ member: String, _ name: String
  ) throws -> [Int] {
    var numbers: [Int] = []
    try cursor.array("an array as \(member) of '\(name)'") { cursor in
      numbers.append(try cursor.naturalNumber("a whole number, 0 or more, in \(member) of '\(name)'"))
    }
    return numbers
  }
}
