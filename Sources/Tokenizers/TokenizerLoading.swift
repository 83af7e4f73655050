// From the files of a folder to a tokenizer.

/// Loads the tokenizer of a folder: CLIP's from `vocab.json` and `merges.txt`, T5's from `spiece.model`, either from
/// `tokenizer.json`, which is preferred where it is present; `tokenizer_config.json` and its companions say which
/// tokens are special.
///
/// - Parameter folder: the path of `tokenizer`, `tokenizer_2` … in a checkpoint
/// - Throws: `TokenizerError` naming the file, what was found in it and what was expected
public func loadTokenizer(folder: String) throws -> any Tokenizer {
  try loadTokenizer(TokenizerFolder(path: folder))
}

/// The same from the contents of the folder's files, by name.
package func loadTokenizer(files: [String: [UInt8]]) throws -> any Tokenizer {
  try loadTokenizer(TokenizerFolder(path: "", contents: files))
}

private func loadTokenizer(_ folder: TokenizerFolder) throws -> any Tokenizer {
  let settings = try TokenizerSettings(folder)
  switch try folder.vocabulary() {
  case .bytePairs(let ids, let merges, let path):
    try settings.require("CLIPTokenizer")
    return try CLIPTokenizer(ids: ids, merges: merges, settings: settings, path: path)
  case .unigram(let pieces, let matched, let characterMap, let path):
    try settings.require("T5Tokenizer")
    return try T5Tokenizer(
      pieces: pieces, matched: matched, characterMap: characterMap, settings: settings, path: path)
  }
}

extension TokenizerSettings {
  fileprivate func require(_ name: String) throws {
    guard let className, className != name, className != "PreTrainedTokenizer" else { return }
    throw TokenizerError(path, .unexpectedValue(key: "tokenizer_class", found: "'\(className)'", expected: "'\(name)'"))
  }

  /// All added tokens with their ids, in the order in which the reference adds them. A token that the vocabulary lacks
  /// gets the next id after it.
  ///
  /// - Throws: `TokenizerError` when a file lists such a token with another id
  fileprivate func added(
    extra: [AddedToken], ids: inout [ExactString: Int32], vocabularyCount: Int
  ) throws -> [(id: Int32, token: AddedToken)] {
    var result: [(id: Int32, token: AddedToken)] = []
    var seen: Set<ExactString> = []
    var next = Int32(clamping: vocabularyCount)
    let candidates =
      listed.map { (Optional($0.id), $0.token) } + named.map { (nil, $0.token) } + extra.map { (nil, $0) }
    for (listedID, token) in candidates {
      let key = ExactString(token.content)
      guard !token.content.isEmpty, seen.insert(key).inserted else { continue }
      if ids[key] == nil {
        if let listedID, listedID != next {
          throw TokenizerError(
            path,
            .unexpectedValue(
              key: "the id of '\(token.content)'", found: "\(listedID)",
              expected: "\(next), the first after the vocabulary"))
        }
        ids[key] = next
        next += 1
      }
      if let id = ids[key] { result.append((id, token)) }
    }
    return result
  }

  fileprivate func id(_ token: AddedToken, _ name: String, _ ids: [ExactString: Int32], path: String) throws -> Int32 {
    guard let id = ids[ExactString(token.content)] else {
      throw TokenizerError(path, .missingSpecialToken(name: name, token: token.content))
    }
    return id
  }
}

extension CLIPTokenizer {
  init(
    ids: [ExactString: Int32], merges: [(String, String)], settings: TokenizerSettings, path: String
  ) throws {
    var (settings, ids) = (settings, ids)
    let roles = [
      ("beginning", settings.token("bos_token", default: "<|startoftext|>")),
      ("end", settings.token("eos_token", default: "<|endoftext|>")),
      ("padding", settings.token("pad_token", default: "<|endoftext|>")),
      ("unknown", settings.token("unk_token", default: "<|endoftext|>")),
    ]
    let known = Set(ids.keys).union(settings.listed.map { ExactString($0.token.content) })
    for (name, token) in roles where !known.contains(ExactString(token.content)) {
      throw TokenizerError(path, .missingSpecialToken(name: name, token: token.content))
    }
    let vocabulary = ids
    let tokens = try settings.added(extra: settings.extra ?? [], ids: &ids, vocabularyCount: vocabulary.count)
    let special = try roles.map { name, token in try settings.id(token, name, ids, path: path) }
    self.special = SpecialTokens(beginning: special[0], end: special[1], padding: special[2], unknown: special[3])
    encoder = try BytePairEncoder(vocabulary: vocabulary, merges: merges, unknown: special[3], path: path)
    added = AddedVocabulary(tokens, normalize: Self.normalize)
    modelMaxLength = settings.modelMaxLength
    vocabularySize = Int(ids.values.max() ?? 0) + 1
    pieces = Dictionary(vocabulary.map { ($1, $0.text) }, uniquingKeysWith: { $1 })
    self.ids = ids
  }
}

extension T5Tokenizer {
  /// The reference builds every T5 model with this id for the unknown piece.
  private static let unknownID: Int32 = 2

  init(
    pieces: [(piece: String, score: Double)], matched: [(piece: String, isControl: Bool)]?, characterMap: [UInt8]?,
    settings: TokenizerSettings, path: String
  ) throws {
    var settings = settings
    let sentinels = (0..<(settings.sentinelCount ?? 100)).map { "<extra_id_\($0)>" }
    // SentencePiece files lack the sentinels; the reference appends them, the last first.
    let pieces = matched == nil ? pieces : pieces + sentinels.reversed().map { ($0, 0) }
    guard pieces.count > Int(Self.unknownID) else {
      throw TokenizerError(
        path,
        .unexpectedValue(key: "vocab", found: "\(pieces.count) pieces", expected: "padding, end and unknown first"))
    }
    var ids: [ExactString: Int32] = [:]
    for (index, entry) in pieces.enumerated() { ids[ExactString(entry.piece)] = Int32(clamping: index) }
    let end = settings.token("eos_token", default: "</s>")
    let padding = settings.token("pad_token", default: "<pad>")
    let unknown = settings.token("unk_token", default: "<unk>")
    for (name, token) in [("end", end), ("padding", padding), ("unknown", unknown)] {
      _ = try settings.id(token, name, ids, path: path)
    }
    let controls = (matched ?? []).map { AddedToken($0.piece, special: $0.isControl) }
    let extra = settings.extra ?? (controls + sentinels.map { AddedToken($0) })
    let tokens = try settings.added(extra: extra, ids: &ids, vocabularyCount: pieces.count)
    let map = try characterMap.map { try CharacterMap($0, path: path) }
    special = SpecialTokens(
      beginning: nil, end: try settings.id(end, "end", ids, path: path),
      padding: try settings.id(padding, "padding", ids, path: path), unknown: Self.unknownID)
    model = UnigramModel(pieces: pieces, unknown: Self.unknownID)
    added = AddedVocabulary(tokens) { Self.normalize($0, map) }
    self.characterMap = map
    modelMaxLength = settings.modelMaxLength
    cleansUpSpaces = settings.cleansUpSpaces
    vocabularySize = Int(ids.values.max() ?? 0) + 1
    self.ids = ids
  }
}
