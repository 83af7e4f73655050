// A small JSON reader for vocabularies. Foundation's decoders put object keys into a dictionary of strings, which
// merges canonically equivalent pieces of a vocabulary; this one keeps every key as it is written and says where a file
// broke.

/// A JSON value. Objects keep the order of the file and, when a key is repeated, all its values.
enum JSONNode: Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSONNode])
  case object([(key: String, value: JSONNode)])

  /// The last value of `key`, as every common reader takes it; nil when this is no object or has no such key.
  subscript(key: String) -> JSONNode? {
    guard case .object(let entries) = self else { return nil }
    return entries.last { $0.key == key }?.value
  }

  var isNull: Bool { if case .null = self { true } else { false } }
  var string: String? { if case .string(let text) = self { text } else { nil } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var number: Double? { if case .number(let value) = self { value } else { nil } }
  var array: [JSONNode]? { if case .array(let items) = self { items } else { nil } }
  var object: [(key: String, value: JSONNode)]? { if case .object(let entries) = self { entries } else { nil } }

  /// The number as an id: an integer from 0 to `Int32.max - 1`.
  var id: Int32? {
    guard let number, let id = Int32(exactly: number), id >= 0, id < Int32.max else { return nil }
    return id
  }

  /// A short text for error messages.
  var summary: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let text): "'\(text.prefix(60))'"
    case .array(let items): "a list of \(items.count)"
    case .object(let entries): "an object of \(entries.count) keys"
    }
  }
}

extension JSONNode {
  /// Parses a whole document.
  ///
  /// - Throws: `TokenizerError` with the byte at which `path` stops being JSON
  static func parse(_ bytes: [UInt8], path: String) throws -> JSONNode {
    var reader = JSONReader(bytes: bytes, path: path)
    return try reader.document()
  }
}

/// Recursive descent over the bytes of a document.
private struct JSONReader {
  /// Deeper nesting than any tokenizer file has; keeps hostile files from exhausting the stack.
  static let maximumDepth = 64

  let bytes: [UInt8]
  let path: String
  var position = 0

  init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  mutating func document() throws -> JSONNode {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    let node = try value(depth: 0)
    skipBlanks()
    guard position == bytes.count else { throw broken("text after the end of the document") }
    return node
  }

  func broken(_ reason: String) -> TokenizerError {
    TokenizerError(path, .brokenJSON(offset: position, reason: reason))
  }

  mutating func skipBlanks() {
    while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
  }

  /// Skips blanks and returns the next byte without consuming it.
  mutating func peek() throws -> UInt8 {
    skipBlanks()
    guard position < bytes.count else { throw broken("the file ends too early") }
    return bytes[position]
  }

  mutating func expect(_ byte: UInt8) throws {
    guard try peek() == byte else { throw broken("expected '\(Character(Unicode.Scalar(byte)))'") }
    position += 1
  }

  mutating func value(depth: Int) throws -> JSONNode {
    guard depth < Self.maximumDepth else { throw broken("nested deeper than \(Self.maximumDepth) levels") }
    switch try peek() {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  mutating func literal(_ text: String, _ node: JSONNode) throws -> JSONNode {
    guard bytes[position...].starts(with: text.utf8) else { throw broken("expected '\(text)'") }
    position += text.utf8.count
    return node
  }

  mutating func object(depth: Int) throws -> JSONNode {
    try expect(UInt8(ascii: "{"))
    var entries: [(key: String, value: JSONNode)] = []
    guard try peek() != UInt8(ascii: "}") else {
      position += 1
      return .object([])
    }
    while true {
      guard try peek() == UInt8(ascii: "\"") else { throw broken("expected a key") }
      let key = try string()
      try expect(UInt8(ascii: ":"))
      entries.append((key, try value(depth: depth + 1)))
      if try isEnd(UInt8(ascii: "}")) { return .object(entries) }
    }
  }

  mutating func array(depth: Int) throws -> JSONNode {
    try expect(UInt8(ascii: "["))
    var items: [JSONNode] = []
    guard try peek() != UInt8(ascii: "]") else {
      position += 1
      return .array([])
    }
    while true {
      items.append(try value(depth: depth + 1))
      if try isEnd(UInt8(ascii: "]")) { return .array(items) }
    }
  }

  /// Consumes the closing byte (true) or a comma (false).
  mutating func isEnd(_ closing: UInt8) throws -> Bool {
    let byte = try peek()
    guard byte == closing || byte == UInt8(ascii: ",") else {
      throw broken("expected ',' or '\(Character(Unicode.Scalar(closing)))'")
    }
    position += 1
    return byte == closing
  }

  mutating func number() throws -> JSONNode {
    let start = position
    let allowed = "+-.eE0123456789".utf8
    while position < bytes.count, allowed.contains(bytes[position]) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let number = Double(text), number.isFinite else {
      position = start
      throw broken("expected a value")
    }
    return .number(number)
  }

  mutating func string() throws -> String {
    position += 1
    var start = position
    var unescaped: [UInt8] = []
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        let tail = bytes[start..<position]
        let text =
          unescaped.isEmpty
          ? String(validating: tail, as: UTF8.self) : String(validating: unescaped + tail, as: UTF8.self)
        guard let text else { throw broken("a string is not UTF-8") }
        position += 1
        return text
      case UInt8(ascii: "\\"):
        unescaped += bytes[start..<position]
        position += 1
        unescaped += try escaped()
        start = position
      case 0..<0x20:
        throw broken("a control character inside a string")
      default:
        position += 1
      }
    }
    throw broken("a string does not end")
  }

  /// Reads what follows a backslash; the result is UTF-8.
  mutating func escaped() throws -> [UInt8] {
    guard position < bytes.count else { throw broken("the file ends too early") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return try Array(String(escapedScalar()).utf8)
    default: throw broken("an unknown escape")
    }
  }

  mutating func escapedScalar() throws -> Character {
    var code = UInt32(try hexadecimalUnit())
    if (0xD800..<0xDC00).contains(code), bytes[position...].starts(with: [0x5C, 0x75]) {
      position += 2
      let low = UInt32(try hexadecimalUnit())
      guard (0xDC00..<0xE000).contains(low) else { throw broken("half of a surrogate pair") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw broken("half of a surrogate pair") }
    return Character(scalar)
  }

  mutating func hexadecimalUnit() throws -> UInt16 {
    guard position + 4 <= bytes.count else { throw broken("the file ends too early") }
    let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
    guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
      let unit = UInt16(digits, radix: 16)
    else { throw broken("an escape without four hexadecimal digits") }
    position += 4
    return unit
  }
}
