// The header of an npy file: a magic string, a version, and a Python dictionary with three members.

import Tensor

struct NpyHeader {
  var dtype = DType.f32
  var isBigEndian = false
  var isFortranOrder = false
  var shape: [Int] = []
  /// The type of strings, as the file names it; nil for numbers.
  private(set) var textType: String?
  /// Letters of a string; each is a `u32` (`U`) or a byte (`S`).
  private(set) var letters = 0
  /// Bytes before the data.
  private(set) var dataOffset = 0

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    var reader = ByteReader(bytes)
    guard let magic = reader.take(6), magic.elementsEqual(Self.magic) else { throw NpyError(path, .notNpy) }
    guard let major = reader.integer(UInt8.self), let minor = reader.integer(UInt8.self) else {
      throw NpyError(path, .truncatedHeader(found: bytes.count, expected: 10))
    }
    guard (1...3).contains(major), minor == 0 else { throw NpyError(path, .version(major: major, minor: minor)) }
    let length = major == 1 ? reader.integer(UInt16.self).map(Int.init) : reader.integer(UInt32.self).map(Int.init)
    guard let length else {
      throw NpyError(path, .truncatedHeader(found: bytes.count, expected: major == 1 ? 10 : 12))
    }
    let start = reader.offset
    guard let text = reader.take(length) else {
      throw NpyError(path, .truncatedHeader(found: bytes.count, expected: start + length))
    }
    dataOffset = start + length
    var parser = PythonLiteralParser(text)
    do {
      try read(&parser, path)
    } catch let failure as PythonLiteralParser.Failure {
      throw NpyError(path, .syntax(offset: start + failure.offset, expected: failure.expected))
    }
  }

  private mutating func read(_ parser: inout PythonLiteralParser, _ path: String) throws {
    var seen: Set<String> = []
    try parser.expect("{")
    while !parser.accept("}") {
      let key = try parser.string("a name in quotes")
      try parser.expect(":")
      switch key {
      case "descr" where seen.insert(key).inserted:
        guard !parser.peeks("[") else { throw NpyError(path, .unsupportedType("record")) }
        try setType(try parser.string("a type in quotes"), path)
      case "fortran_order" where seen.insert(key).inserted: isFortranOrder = try parser.boolean()
      case "shape" where seen.insert(key).inserted: shape = try parser.tupleOfNaturalNumbers()
      default: throw parser.failure("'descr', 'fortran_order' and 'shape' once each before here, not '\(key)'")
      }
      guard parser.accept(",") || parser.peeks("}") else { throw parser.failure("',' or '}'") }
    }
    guard seen.count == 3 else { throw parser.failure("'descr', 'fortran_order' and 'shape' before here") }
    guard parser.isAtEnd else { throw parser.failure("only spaces after '}'") }
  }

  private mutating func setType(_ descriptor: String, _ path: String) throws {
    let order = descriptor.first
    if let order, "<>|=".contains(order), let kind = descriptor.dropFirst().first, "US".contains(kind),
      let count = Int(descriptor.dropFirst(2)), (0...1 << 20).contains(count)
    {
      (textType, letters) = (descriptor, count)
      dtype = kind == "U" ? .u32 : .u8
      isBigEndian = order == ">" && kind == "U"
      return
    }
    guard let order, "<>|=".contains(order), let type = Self.types[String(descriptor.dropFirst())] else {
      throw NpyError(path, .unsupportedType("'\(descriptor)'"))
    }
    dtype = type
    isBigEndian = order == ">" && type.size > 1
  }

  private static let types: [String: DType] = [
    "b1": .bool, "i1": .i8, "u1": .u8, "i2": .i16, "u2": .u16, "i4": .i32, "u4": .u32, "i8": .i64, "u8": .u64,
    "f2": .f16, "f4": .f32, "f8": .f64,
  ]

  /// A version 1 header, padded so that the data begin at a multiple of 64 bytes.
  static func encoded(_ dtype: DType, _ shape: [Int]) -> [UInt8] {
    let code = types.first { $0.value == dtype }?.key ?? "f4"
    return encoded(descriptor: (dtype.size == 1 ? "|" : "<") + code, shape)
  }

  /// - Parameter descriptor: the type as NumPy names it
  static func encoded(descriptor: String, _ shape: [Int]) -> [UInt8] {
    let extents = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = Array("{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(extents)), }".utf8)
    let prefix = magic.count + 4
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - (prefix + text.count + 1) % 64) % 64))
    text.append(UInt8(ascii: "\n"))
    var header = magic + [1, 0]
    header.appendLittleEndian(UInt16(text.count))
    return header + text
  }
}

/// The few Python literals of an npy header.
struct PythonLiteralParser {
  struct Failure: Error {
    let offset: Int
    let expected: String
  }

  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return offset == bytes.count
    }
  }

  func failure(_ expected: String) -> Failure { Failure(offset: offset, expected: expected) }

  mutating func peeks(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    return offset < bytes.count && bytes[offset] == UInt8(ascii: character)
  }

  mutating func accept(_ character: Unicode.Scalar) -> Bool {
    guard peeks(character) else { return false }
    offset += 1
    return true
  }

  mutating func expect(_ character: Unicode.Scalar) throws {
    guard accept(character) else { throw failure("'\(character)'") }
  }

  /// A string in single or double quotes without escapes.
  mutating func string(_ what: String) throws -> String {
    let quote: Unicode.Scalar = peeks("\"") ? "\"" : "'"
    guard accept(quote) else { throw failure(what) }
    let start = offset
    while offset < bytes.count, bytes[offset] != UInt8(ascii: quote) {
      guard (0x20..<0x7F).contains(bytes[offset]), bytes[offset] != UInt8(ascii: "\\") else { throw failure(what) }
      offset += 1
    }
    let content = bytes[start..<offset]
    guard accept(quote) else { throw failure("the closing quote of \(what)") }
    return String(decoding: content, as: UTF8.self)
  }

  mutating func boolean() throws -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)] where bytes[offset...].starts(with: word.utf8) {
      offset += word.utf8.count
      return value
    }
    throw failure("True or False")
  }

  /// `()`, `(3,)`, `(3, 4)`; Python 2 wrote `(3L,)`.
  mutating func tupleOfNaturalNumbers() throws -> [Int] {
    try expect("(")
    var numbers: [Int] = []
    while !accept(")") {
      numbers.append(try naturalNumber())
      let hasComma = accept(",")
      guard hasComma || (numbers.count > 1 && peeks(")")) else { throw failure("','") }
    }
    return numbers
  }

  private mutating func naturalNumber() throws -> Int {
    skipSpace()
    let start = offset
    var value = 0
    while offset < bytes.count, case let digit = bytes[offset] &- 0x30, digit < 10 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int(digit))
      guard !overflow, !carry else { throw Failure(offset: start, expected: "a whole number that fits into 64 bits") }
      value = sum
      offset += 1
    }
    guard offset > start else { throw failure("a whole number, 0 or more") }
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "L") { offset += 1 }
    return value
  }

  private mutating func skipSpace() {
    while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
  }
}
