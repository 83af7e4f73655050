// The part of a SentencePiece model file (`spiece.model`) that a unigram tokenizer needs.

/// Pieces, scores and character map of a SentencePiece model, read from its protobuf form.
/// Source: sentencepiece_model.proto.
struct SentencePieceModel: Sendable {
  /// Which pieces are matched in prompts besides being spelled. Source: `ModelProto.SentencePiece.Type`.
  enum Kind: UInt64 { case control = 3, userDefined = 4 }

  var pieces: [(piece: String, score: Double, kind: Kind?)] = []
  /// Empty when the model has none.
  var characterMap: [UInt8] = []

  /// - Throws: `TokenizerError` with the byte at which `path` stops being a unigram model
  init(_ bytes: [UInt8], path: String) throws {
    var message = ProtobufReader(bytes, bytes.indices, path: path)
    while let field = try message.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let range)): pieces.append(try Self.piece(ProtobufReader(bytes, range, path: path)))
      case (2, .bytes(let range)): try Self.checkTrainer(ProtobufReader(bytes, range, path: path))
      case (3, .bytes(let range)): characterMap = try Self.map(ProtobufReader(bytes, range, path: path))
      default: break
      }
    }
    guard !pieces.isEmpty else { throw message.broken("no pieces") }
  }

  private static func piece(_ reader: ProtobufReader) throws -> (piece: String, score: Double, kind: Kind?) {
    var reader = reader
    var piece = ""
    var score = 0.0
    var kind: Kind?
    while let field = try reader.next() {
      switch (field.number, field.value) {
      case (1, .bytes(let range)): piece = try reader.text(range)
      case (2, .fixed32(let bits)): score = Double(Float(bitPattern: bits))
      case (3, .varint(let value)): kind = Kind(rawValue: value)
      default: break
      }
    }
    guard score.isFinite else { throw reader.broken("the score of '\(piece)' is \(score)") }
    return (piece, score, kind)
  }

  private static func checkTrainer(_ reader: ProtobufReader) throws {
    var reader = reader
    while let field = try reader.next() {
      if case (3, .varint(let type)) = (field.number, field.value), type != 1 {
        throw TokenizerError(reader.path, .unsupported("SentencePiece model type \(type); expected 1 (unigram)"))
      }
    }
  }

  private static func map(_ reader: ProtobufReader) throws -> [UInt8] {
    var reader = reader
    var map: [UInt8] = []
    while let field = try reader.next() {
      if case (2, .bytes(let range)) = (field.number, field.value) { map = Array(reader.bytes[range]) }
    }
    return map
  }
}

/// Walks the fields of one protobuf message. Every length is checked against the message before it is used.
private struct ProtobufReader {
  enum Value {
    case varint(UInt64)
    case fixed32(UInt32)
    case fixed64
    case bytes(Range<Int>)
  }

  let bytes: [UInt8]
  let path: String
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, path: String) {
    self.bytes = bytes
    self.path = path
    position = range.lowerBound
    end = range.upperBound
  }

  func broken(_ reason: String) -> TokenizerError {
    TokenizerError(path, .brokenProtobuf(offset: position, reason: reason))
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws -> (number: UInt64, value: Value)? {
    guard position < end else { return nil }
    let tag = try varint()
    guard tag >> 3 > 0 else { throw broken("field number 0") }
    switch tag & 7 {
    case 0: return (tag >> 3, .varint(try varint()))
    case 1:
      _ = try take(8)
      return (tag >> 3, .fixed64)
    case 2:
      let length = try varint()
      guard let count = Int(exactly: length) else { throw broken("a field of \(length) bytes") }
      return (tag >> 3, .bytes(try take(count)))
    case 5:
      let range = try take(4)
      return (tag >> 3, .fixed32(bytes[range].reversed().reduce(0) { $0 << 8 | UInt32($1) }))
    default: throw broken("wire type \(tag & 7)")
    }
  }

  func text(_ range: Range<Int>) throws -> String {
    guard let text = String(validating: bytes[range], as: UTF8.self) else { throw broken("a piece is not UTF-8") }
    return text
  }

  private mutating func take(_ count: Int) throws -> Range<Int> {
    guard count <= end - position else { throw broken("a field of \(count) bytes with \(end - position) left") }
    defer { position += count }
    return position..<position + count
  }

  private mutating func varint() throws -> UInt64 {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard position < end else { throw broken("the file ends too early") }
      let byte = bytes[position]
      position += 1
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
    }
    throw broken("a number of more than ten bytes")
  }
}
