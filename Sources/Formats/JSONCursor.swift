// JSON as files of models need it: strict, every key and number as it is written, and an offset where a file is broken.

/// A cursor over JSON text that accepts exactly RFC 8259 and reports where it stopped.
///
/// `JSONDecoder` takes duplicate keys, numbers such as 24.0 for integers, and lone surrogates without a word, merges keys
/// that are canonically equivalent, and needs 11 ms for the header of a large checkpoint.
package struct JSONCursor {
  package struct Failure: Error {
    package let offset: Int
    package let expected: String
  }

  package let bytes: UnsafeRawBufferPointer
  package private(set) var offset: Int

  /// Deeper nesting than any file of a model has; keeps hostile files from exhausting the stack.
  package static let maximumDepth = 64

  package init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
    self.bytes = bytes
    self.offset = offset
  }

  package var isAtEnd: Bool { offset == bytes.count }

  package func failure(_ expected: String) -> Failure { Failure(offset: offset, expected: expected) }

  package mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  /// The next byte that is no space, before which the cursor then stands; nil at the end.
  package mutating func peek() -> UInt8? {
    skipSpace()
    return isAtEnd ? nil : bytes[offset]
  }

  /// Moves behind `character` and the space before it, if it comes next.
  package mutating func accept(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar, _ what: @autoclosure () -> String? = nil) throws {
    guard accept(character) else { throw failure(what() ?? "'\(character)'") }
  }

  /// Calls `member` with each key of an object, the cursor standing before the value.
  package mutating func object(
    _ what: @autoclosure () -> String, _ member: (inout JSONCursor, String) throws -> Void
  ) throws {
    try expect("{", what())
    if accept("}") { return }
    repeat {
      let key = try string("a name in quotes")
      try expect(":")
      try member(&self, key)
    } while accept(",")
    try expect("}", "',' or '}'")
  }

  /// Calls `element` for each value of an array, the cursor standing before it.
  package mutating func array(_ what: @autoclosure () -> String, _ element: (inout JSONCursor) throws -> Void) throws {
    try expect("[", what())
    if accept("]") { return }
    repeat { try element(&self) } while accept(",")
    try expect("]", "',' or ']'")
  }

  /// An integer without sign, fraction and exponent that fits.
  package mutating func naturalNumber(_ what: @autoclosure () -> String) throws -> Int {
    skipSpace()
    let start = offset
    var value = 0
    while offset < bytes.count, case let digit = bytes[offset] &- 0x30, digit < 10 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int(digit))
      guard !overflow, !carry else { throw Failure(offset: start, expected: "\(what()) that fits into 64 bits") }
      value = sum
      offset += 1
    }
    let length = offset - start
    let continues = offset < bytes.count && [0x2E, 0x45, 0x65].contains(bytes[offset])
    guard length > 0, !continues, length == 1 || bytes[start] != 0x30 else {
      throw Failure(offset: start, expected: what())
    }
    return value
  }

  /// A string, its escapes resolved and its UTF-8 checked.
  package mutating func string(_ what: @autoclosure () -> String) throws -> String {
    try expect("\"", what())
    let start = offset
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        let content = UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
        guard let text = String(validating: content, as: UTF8.self) else {
          throw Failure(offset: start, expected: "valid UTF-8 in \(what())")
        }
        offset += 1
        return text
      case UInt8(ascii: "\\"): return try escapedString(what, from: start)
      case 0..<0x20: throw failure("no control character in \(what())")
      default: offset += 1
      }
    }
    throw failure("the closing quote of \(what())")
  }

  private mutating func escapedString(_ what: () -> String, from start: Int) throws -> String {
    var content = [UInt8](UnsafeRawBufferPointer(rebasing: bytes[start..<offset]))
    while offset < bytes.count {
      let byte = bytes[offset]
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else {
          throw Failure(offset: start, expected: "valid UTF-8 in \(what())")
        }
        offset += 1
        return text
      case UInt8(ascii: "\\"):
        offset += 1
        content.append(contentsOf: Array(String(try escape()).utf8))
      case 0..<0x20: throw failure("no control character in \(what())")
      default:
        content.append(byte)
        offset += 1
      }
    }
    throw failure("the closing quote of \(what())")
  }

  private static let escapes: [UInt8: Unicode.Scalar] = [
    UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/", UInt8(ascii: "b"): "\u{8}",
    UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n", UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
  ]

  /// The character of an escape sequence; the cursor stands behind the backslash.
  private mutating func escape() throws -> Unicode.Scalar {
    guard offset < bytes.count else { throw failure("an escape sequence") }
    let letter = bytes[offset]
    if let scalar = Self.escapes[letter] {
      offset += 1
      return scalar
    }
    guard letter == UInt8(ascii: "u") else { throw failure("an escape sequence") }
    offset += 1
    let start = offset
    let unit = try fourHexDigits()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    guard UTF16.isLeadSurrogate(UInt16(truncatingIfNeeded: unit)), offset + 1 < bytes.count,
      bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
    else { throw Failure(offset: start, expected: "a character, not half of a surrogate pair") }
    offset += 2
    let trail = try fourHexDigits()
    guard UTF16.isTrailSurrogate(UInt16(truncatingIfNeeded: trail)),
      let scalar = Unicode.Scalar(0x10000 + ((unit - 0xD800) << 10) + (trail - 0xDC00))
    else { throw Failure(offset: start, expected: "a character, not half of a surrogate pair") }
    return scalar
  }

  private mutating func fourHexDigits() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard offset < bytes.count, let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue else {
        throw failure("four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }

  /// Moves behind any value.
  package mutating func skipValue() throws {
    var closers: [Unicode.Scalar] = []
    repeat {
      skipSpace()
      guard offset < bytes.count else { throw failure("a value") }
      switch bytes[offset] {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        guard closers.count < Self.maximumDepth else { throw failure("at most \(Self.maximumDepth) levels of nesting") }
        let closer: Unicode.Scalar = bytes[offset] == UInt8(ascii: "{") ? "}" : "]"
        offset += 1
        if accept(closer) { break }
        closers.append(closer)
        if closer == "}" { try skipKey() }
        continue
      case UInt8(ascii: "\""): _ = try string("a string")
      default: try skipScalar()
      }
      try closeOrContinue(&closers)
    } while !closers.isEmpty
  }

  /// After a value: a comma leads to the next one, closing brackets end the values around it.
  private mutating func closeOrContinue(_ closers: inout [Unicode.Scalar]) throws {
    while let closer = closers.last {
      if accept(",") {
        if closer == "}" { try skipKey() }
        return
      }
      try expect(closer, "',' or '\(closer)'")
      closers.removeLast()
    }
  }

  private mutating func skipKey() throws {
    _ = try string("a name in quotes")
    try expect(":")
  }

  /// A number, true, false or null.
  private mutating func skipScalar() throws {
    for word in ["true", "false", "null"] where acceptWord(word) { return }
    try skipNumber()
  }

  /// Moves behind `word` if it stands here.
  package mutating func acceptWord(_ word: String) -> Bool {
    guard bytes[offset...].starts(with: word.utf8) else { return false }
    offset += word.utf8.count
    return true
  }

  /// A number that `Double` can hold.
  package mutating func number(_ what: @autoclosure () -> String) throws -> Double {
    skipSpace()
    let start = offset
    try skipNumber()
    guard let number = Double(String(decoding: bytes[start..<offset], as: UTF8.self)), number.isFinite else {
      throw Failure(offset: start, expected: what())
    }
    return number
  }

  private mutating func skipNumber() throws {
    let start = offset
    guard offset < bytes.count else { throw failure("a value") }
    if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let first = offset
    let digits = skipDigits()
    var isValid = digits > 0 && (digits == 1 || bytes[first] != 0x30)
    if isValid, offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
      offset += 1
      isValid = skipDigits() > 0
    }
    if isValid, offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      offset += 1
      if offset < bytes.count, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") { offset += 1 }
      isValid = skipDigits() > 0
    }
    guard isValid else { throw Failure(offset: start, expected: "a value") }
  }

  private mutating func skipDigits() -> Int {
    let start = offset
    while offset < bytes.count, bytes[offset] &- 0x30 < 10 { offset += 1 }
    return offset - start
  }
}
