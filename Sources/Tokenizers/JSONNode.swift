// JSON as a tree, for vocabularies. Foundation's decoders put object keys into a dictionary of strings, which merges
// canonically equivalent pieces of a vocabulary; here every key stays as it is written.

import Formats

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
  /// Parses a whole document; a byte-order mark before it is passed over.
  ///
  /// - Throws: `TokenizerError` with the byte at which `path` stops being JSON
  static func parse(_ bytes: [UInt8], path: String) throws -> JSONNode {
    try bytes.withUnsafeBytes { bytes in
      var cursor = JSONCursor(bytes, offset: bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0)
      do {
        let node = try JSONNode(&cursor, depth: 0)
        guard cursor.peek() == nil else { throw cursor.failure("nothing after the end of the document") }
        return node
      } catch let failure as JSONCursor.Failure {
        throw TokenizerError(path, .brokenJSON(offset: failure.offset, reason: "expected \(failure.expected)"))
      }
    }
  }

  private init(_ cursor: inout JSONCursor, depth: Int) throws {
    guard depth < JSONCursor.maximumDepth else {
      throw cursor.failure("at most \(JSONCursor.maximumDepth) levels of nesting")
    }
    switch cursor.peek() {
    case UInt8(ascii: "{"):
      var entries: [(key: String, value: JSONNode)] = []
      try cursor.object("an object") { entries.append(($1, try JSONNode(&$0, depth: depth + 1))) }
      self = .object(entries)
    case UInt8(ascii: "["):
      var items: [JSONNode] = []
      try cursor.array("a list") { items.append(try JSONNode(&$0, depth: depth + 1)) }
      self = .array(items)
    case UInt8(ascii: "\""): self = .string(try cursor.string("a string"))
    case UInt8(ascii: "t") where cursor.acceptWord("true"): self = .bool(true)
    case UInt8(ascii: "f") where cursor.acceptWord("false"): self = .bool(false)
    case UInt8(ascii: "n") where cursor.acceptWord("null"): self = .null
    default: self = .number(try cursor.number("a number that fits"))
    }
  }
}
