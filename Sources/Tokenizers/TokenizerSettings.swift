// Which tokens of a folder are special and how added tokens are matched, from the several files that may say so.

/// The special and added tokens of a tokenizer folder, put together as transformers 5 does: `tokenizer_config.json`
/// first, and where it has no `added_tokens_decoder` also `special_tokens_map.json`, `added_tokens.json` and the list
/// in `tokenizer.json`. Source: transformers `PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`.
struct TokenizerSettings {
  /// `bos_token`, `eos_token` …: the tokens that have a role, in the order of the reference.
  private(set) var named: [(name: String, token: AddedToken)] = []
  /// Tokens listed with their ids, by ascending id.
  private(set) var listed: [(id: Int32, token: AddedToken)] = []
  /// Further special tokens, `<extra_id_0>` and the like.
  private(set) var extra: [AddedToken]?
  private(set) var modelMaxLength: Int?
  /// `extra_ids`: how many sentinel tokens a T5 vocabulary has at its end.
  private(set) var sentinelCount: Int?
  private(set) var cleansUpSpaces = false
  /// `tokenizer_class` without the suffix `Fast`.
  private(set) var className: String?
  /// The file that errors about these settings name.
  let path: String

  private static let names = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  init(_ folder: TokenizerFolder) throws {
    path = folder.path(of: "tokenizer_config.json")
    let config = try folder.json("tokenizer_config.json") ?? .object([])
    try readOptions(config)
    var tokens: [String: AddedToken] = [:]
    try readNamed(config, path: path, into: &tokens)
    extra = try Self.extraTokens(config, path: path)
    if let decoder = config["added_tokens_decoder"], !decoder.isNull {
      try readDecoder(decoder)
    } else {
      try readOlderFiles(folder, &tokens)
    }
    let flags = Dictionary(listed.map { (ExactString($0.token.content), $0.token) }, uniquingKeysWith: { $1 })
    named = Self.names.compactMap { name in
      tokens[name].map { (name, flags[ExactString($0.content)] ?? $0) }
    }
    listed.sort { $0.id < $1.id }
  }

  /// The token with a role, or the one that the reference takes when no file names it.
  mutating func token(_ name: String, default content: String) -> AddedToken {
    if let token = named.first(where: { $0.name == name })?.token { return token }
    let token = listed.first { $0.token.content == content }?.token ?? AddedToken(content)
    let place = named.firstIndex { Self.rank($0.name) > Self.rank(name) } ?? named.count
    named.insert((name, token), at: place)
    return token
  }

  private static func rank(_ name: String) -> Int { names.firstIndex(of: name) ?? names.count }

  private mutating func readOptions(_ config: JSONNode) throws {
    className = config["tokenizer_class"]?.string.map { $0.hasSuffix("Fast") ? String($0.dropLast(4)) : $0 }
    cleansUpSpaces = config["clean_up_tokenization_spaces"]?.bool ?? false
    // A tokenizer without a limit is saved with 1e30.
    if let length = config["model_max_length"]?.number, length >= 1, length < 1e9 { modelMaxLength = Int(length) }
    if let count = config["extra_ids"], !count.isNull {
      guard let value = count.id, value <= 100_000 else {
        throw TokenizerError(
          path, .unexpectedValue(key: "extra_ids", found: count.summary, expected: "an integer from 0 to 100000"))
      }
      sentinelCount = Int(value)
    }
    for side in ["padding_side", "truncation_side"] {
      if let value = config[side]?.string, value != "right" {
        throw TokenizerError(path, .unsupported("\(side) '\(value)'; expected 'right'"))
      }
    }
  }

  private func readNamed(_ node: JSONNode, path: String, into tokens: inout [String: AddedToken]) throws {
    for name in Self.names {
      if let value = node[name], !value.isNull { tokens[name] = try Self.token(value, key: name, path: path) }
    }
  }

  private mutating func readDecoder(_ node: JSONNode) throws {
    for (key, value) in node.object ?? [] {
      guard let id = Int32(key), id >= 0, id < Int32.max else {
        throw TokenizerError(path, .idOutOfRange(token: value["content"]?.string ?? "", id: "'\(key)'"))
      }
      listed.append((id, try Self.token(value, key: "added_tokens_decoder.\(key)", path: path)))
    }
  }

  private mutating func readOlderFiles(_ folder: TokenizerFolder, _ tokens: inout [String: AddedToken]) throws {
    let mapPath = folder.path(of: "special_tokens_map.json")
    if let map = try folder.json("special_tokens_map.json") {
      try readNamed(map, path: mapPath, into: &tokens)
      extra = try extra ?? Self.extraTokens(map, path: mapPath)
    }
    let specials = Set(tokens.values.map(\.content) + (extra ?? []).map(\.content))
    for (content, value) in try folder.json("added_tokens.json")?.object ?? [] {
      guard let id = value.id else {
        throw TokenizerError(folder.path(of: "added_tokens.json"), .idOutOfRange(token: content, id: value.summary))
      }
      let isSpecial = specials.contains(content)
      listed.append((id, AddedToken(content, normalized: !isSpecial, special: isSpecial)))
    }
    let path = folder.path(of: "tokenizer.json")
    for (index, value) in (try folder.json("tokenizer.json")?["added_tokens"]?.array ?? []).enumerated() {
      let token = try Self.token(value, key: "added_tokens[\(index)]", path: path)
      guard let id = value["id"]?.id else {
        throw TokenizerError(path, .idOutOfRange(token: token.content, id: value["id"]?.summary ?? "missing"))
      }
      listed.removeAll { $0.id == id }
      listed.append((id, token))
    }
  }

  private static func extraTokens(_ node: JSONNode, path: String) throws -> [AddedToken]? {
    for key in ["extra_special_tokens", "additional_special_tokens"] {
      if let items = node[key]?.array, !items.isEmpty {
        return try items.map { try token($0, key: key, path: path) }
      }
      if let entries = node[key]?.object, !entries.isEmpty {
        return try entries.map { try token($0.value, key: "\(key).\($0.key)", path: path) }
      }
    }
    return nil
  }

  /// A token written as text or as an object with its flags.
  private static func token(_ node: JSONNode, key: String, path: String) throws -> AddedToken {
    if let text = node.string { return AddedToken(text) }
    guard let content = node["content"]?.string else {
      throw TokenizerError(path, .unexpectedValue(key: key, found: node.summary, expected: "a token"))
    }
    let special = node["special"]?.bool ?? true
    return AddedToken(
      content, singleWord: node["single_word"]?.bool ?? false, stripsLeft: node["lstrip"]?.bool ?? false,
      stripsRight: node["rstrip"]?.bool ?? false, normalized: node["normalized"]?.bool ?? !special, special: special)
  }
}
