// The files of a tokenizer folder, read but not yet understood.

import Formats
import Glibc
import Tensor

/// A folder as `save_pretrained` of transformers writes it.
struct TokenizerFolder {
  /// Far more than any vocabulary has; a larger file is not read.
  static let maximumFileSize = 1 << 28

  let path: String
  /// Contents in place of the files on the disk.
  var contents: [String: [UInt8]]?

  func path(of name: String) -> String { path.hasSuffix("/") ? path + name : path + "/" + name }

  /// The bytes of a file; nil when there is none.
  ///
  /// - Throws: `TokenizerError` when it is there but cannot be read
  func bytes(_ name: String) throws -> [UInt8]? {
    if let contents { return contents[name] }
    let path = path(of: name)
    let file: MappedFile
    do {
      file = try MappedFile(path: path)
    } catch let error as FileError {
      if error.code == ENOENT { return nil }
      throw TokenizerError(path, .missingFile(expected: "a readable file (\(error))"))
    }
    guard file.count <= Self.maximumFileSize else {
      throw TokenizerError(path, .unsupported("\(file.count) bytes; expected at most \(Self.maximumFileSize)"))
    }
    return file.withBytes { Array($0) }
  }

  /// The content of a JSON file, which must be an object; nil when there is no such file.
  func json(_ name: String) throws -> JSONNode? {
    guard let bytes = try bytes(name) else { return nil }
    let node = try JSONNode.parse(bytes, path: path(of: name))
    guard node.object != nil else {
      throw TokenizerError(path(of: name), .unexpectedValue(key: "", found: node.summary, expected: "an object"))
    }
    return node
  }

  /// What the folder holds: the first of the forms that the reference prefers.
  func vocabulary() throws -> TokenizerVocabulary {
    if let document = try json("tokenizer.json") {
      return try .tokenizerJSON(document, path: path(of: "tokenizer.json"))
    }
    if let bytes = try bytes("spiece.model") {
      let path = path(of: "spiece.model")
      return .sentencePiece(try SentencePieceModel(bytes, path: path), path: path)
    }
    if let vocabulary = try json("vocab.json") {
      guard let merges = try bytes("merges.txt") else {
        throw TokenizerError(path(of: "merges.txt"), .missingFile(expected: "the merge rules of vocab.json"))
      }
      return try .bytePairs(
        ids: TokenizerVocabulary.ids(vocabulary, path: path(of: "vocab.json")),
        merges: TokenizerVocabulary.merges(merges, path: path(of: "merges.txt")), path: path(of: "merges.txt"))
    }
    throw TokenizerError(
      path, .missingFile(expected: "a tokenizer folder with tokenizer.json, spiece.model or vocab.json and merges.txt"))
  }
}

/// A vocabulary in one of its two kinds, whatever file it came from.
enum TokenizerVocabulary {
  case bytePairs(ids: [ExactString: Int32], merges: [(String, String)], path: String)
  /// - kinds: control and user-defined pieces; nil when the file does not say (`tokenizer.json`)
  case unigram(
    pieces: [(piece: String, score: Double)], matched: [(piece: String, isControl: Bool)]?, characterMap: [UInt8]?,
    path: String)

  static func sentencePiece(_ model: SentencePieceModel, path: String) -> TokenizerVocabulary {
    let matched = model.pieces.compactMap { entry in entry.kind.map { (entry.piece, $0 == .control) } }
    return .unigram(
      pieces: model.pieces.map { ($0.piece, $0.score) }, matched: matched,
      characterMap: model.characterMap.isEmpty ? nil : model.characterMap, path: path)
  }

  static func tokenizerJSON(_ document: JSONNode, path: String) throws -> TokenizerVocabulary {
    guard let model = document["model"], let vocabulary = model["vocab"] else {
      throw TokenizerError(path, .unexpectedValue(key: "model.vocab", found: "missing", expected: "a vocabulary"))
    }
    // Files of early versions leave out the type; only unigram vocabularies are lists.
    switch model["type"]?.string ?? (vocabulary.array == nil ? "BPE" : "Unigram") {
    case "BPE":
      return try .bytePairs(
        ids: ids(vocabulary, path: path), merges: merges(model["merges"] ?? .null, path: path), path: path)
    case "Unigram":
      return try .unigram(
        pieces: scoredPieces(vocabulary, path: path), matched: nil,
        characterMap: characterMap(document["normalizer"], path: path), path: path)
    case let other:
      throw TokenizerError(path, .unsupported("model type '\(other)'; expected 'BPE' (CLIP) or 'Unigram' (T5)"))
    }
  }

  static func ids(_ node: JSONNode, path: String) throws -> [ExactString: Int32] {
    guard let entries = node.object, !entries.isEmpty else {
      throw TokenizerError(path, .unexpectedValue(key: "vocab", found: node.summary, expected: "pieces with their ids"))
    }
    var ids: [ExactString: Int32] = [:]
    ids.reserveCapacity(entries.count)
    for (piece, value) in entries {
      guard let id = value.id else { throw TokenizerError(path, .idOutOfRange(token: piece, id: value.summary)) }
      ids[ExactString(piece)] = id
    }
    return ids
  }

  /// `merges.txt`: a rule per line, the pieces separated by a blank; a line that starts with '#version' is skipped.
  static func merges(_ bytes: [UInt8], path: String) throws -> [(String, String)] {
    var rules: [(String, String)] = []
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
      let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      guard !line.starts(with: "#version".utf8), !line.isEmpty else { continue }
      let text = String(decoding: line, as: UTF8.self)
      guard let pair = pair(text) else {
        throw TokenizerError(path, .brokenMerge(rule: rules.count + 1, text: String(text.prefix(60))))
      }
      rules.append(pair)
    }
    return rules
  }

  /// The rules of `tokenizer.json`: texts with a blank (older files) or lists of two.
  private static func merges(_ node: JSONNode, path: String) throws -> [(String, String)] {
    guard let items = node.array else {
      throw TokenizerError(path, .unexpectedValue(key: "model.merges", found: node.summary, expected: "a list"))
    }
    return try items.enumerated().map { index, item in
      if let text = item.string, let pair = pair(text) { return pair }
      if let parts = item.array, parts.count == 2, let left = parts[0].string, let right = parts[1].string {
        return (left, right)
      }
      throw TokenizerError(path, .brokenMerge(rule: index + 1, text: item.summary))
    }
  }

  private static func pair(_ text: String) -> (String, String)? {
    let parts = text.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
    return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
  }

  private static func scoredPieces(_ node: JSONNode, path: String) throws -> [(piece: String, score: Double)] {
    guard let items = node.array, !items.isEmpty else {
      throw TokenizerError(
        path, .unexpectedValue(key: "model.vocab", found: node.summary, expected: "a list of pieces and scores"))
    }
    return try items.enumerated().map { index, item in
      guard let pair = item.array, pair.count == 2, let piece = pair[0].string, let score = pair[1].number else {
        throw TokenizerError(
          path,
          .unexpectedValue(key: "model.vocab[\(index)]", found: item.summary, expected: "a piece and its score"))
      }
      return (piece, score)
    }
  }

  /// The first precompiled map in a normaliser or list of normalisers.
  private static func characterMap(_ normalizer: JSONNode?, path: String) throws -> [UInt8]? {
    let steps = normalizer?["normalizers"]?.array ?? normalizer.map { [$0] } ?? []
    guard let text = steps.first(where: { $0["type"]?.string == "Precompiled" })?["precompiled_charsmap"]?.string else {
      return nil
    }
    guard let map = base64Decoded(text) else {
      throw TokenizerError(path, .brokenCharacterMap(reason: "not base64"))
    }
    return map.isEmpty ? nil : map
  }

  private static func base64Decoded(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var (buffer, bits): (UInt32, Int) = (0, 0)
    var digits = Array(text.utf8)
    guard digits.count % 4 == 0 else { return nil }
    for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
    bytes.reserveCapacity(digits.count * 3 / 4)
    for digit in digits {
      let value: UInt8
      switch digit {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digit - UInt8(ascii: "A")
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digit - UInt8(ascii: "a") + 26
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0") + 52
      case UInt8(ascii: "+"): value = 62
      case UInt8(ascii: "/"): value = 63
      default: return nil
      }
      buffer = buffer << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
      }
    }
    return bytes
  }
}
