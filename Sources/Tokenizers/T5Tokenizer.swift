// The tokenizer of T5's encoders: a unigram model over words that start with '▁'.

/// T5's tokenizer. Gives the ids of transformers' `T5Tokenizer` (version 5, the same class as `T5TokenizerFast`).
///
/// From its files the reference takes the pieces, their scores and the character map, and always does the same with
/// them: added tokens are matched first, the character map is applied, the text is cut at white space, '▁' is put in
/// front of every word and at every '▁' a new piece starts. What else a `tokenizer.json` lists as normaliser and
/// pre-tokenizer is not used, as it is not there.
public struct T5Tokenizer: Tokenizer {
  /// Stands for the blank in front of a word.
  static let wordStart: Unicode.Scalar = "\u{2581}"

  public let special: SpecialTokens
  public let modelMaxLength: Int?
  public let vocabularySize: Int
  let model: UnigramModel
  let characterMap: CharacterMap?
  let added: AddedVocabulary
  let ids: [ExactString: Int32]
  /// Whether decoding removes blanks in front of punctuation (`clean_up_tokenization_spaces`).
  let cleansUpSpaces: Bool

  public func encode(_ text: String, maxLength: Int?, padding: TokenPadding) throws -> TokenizedPrompt {
    var content: [PromptToken] = []
    for section in added.sections(of: text, normalize: { Self.normalize($0, characterMap) }) {
      switch section {
      case .token(let id, let source): content.append(PromptToken(id: id, source: source))
      case .text(let text):
        for word in Self.words(of: text) { append(word, to: &content) }
      }
    }
    return try TokenizedPrompt(
      text: text, content: content, special: special, maxLength: maxLength, padding: padding)
  }

  public func token(for id: Int32) -> String? {
    if let token = added.tokens[id] { return token.content }
    return model.pieces.indices.contains(Int(id)) ? model.pieces[Int(id)] : nil
  }

  public func id(for token: String) -> Int32? { ids[ExactString(token)] }

  public func decode(_ ids: [Int32], skippingSpecialTokens: Bool) -> String {
    let tokens = ids.filter { !(skippingSpecialTokens && added.tokens[$0]?.special == true) }.compactMap(token(for:))
    var text = String.UnicodeScalarView()
    for (index, token) in tokens.enumerated() {
      for scalar in token.unicodeScalars {
        if scalar != Self.wordStart {
          text.append(scalar)
        } else if index > 0 {
          text.append(" ")
        }
      }
    }
    return cleansUpSpaces ? Self.cleanedUp(String(text)) : String(text)
  }

  static func normalize(_ text: AlignedText, _ map: CharacterMap?) -> AlignedText {
    map?.normalize(text) ?? text
  }

  /// Cuts at white space, puts '▁' in front of every word that lacks it, and cuts again in front of every '▁'.
  static func words(of text: AlignedText) -> [AlignedText] {
    var words: [AlignedText] = []
    var isInside = false
    for (scalar, source) in zip(text.scalars, text.sources) {
      guard !scalar.properties.isWhitespace else {
        isInside = false
        continue
      }
      if scalar == wordStart || !isInside { words.append(AlignedText()) }
      if scalar != wordStart, !isInside {
        words[words.count - 1].append(wordStart, from: source.lowerBound..<source.lowerBound)
      }
      isInside = true
      words[words.count - 1].append(scalar, from: source)
    }
    return words
  }

  private func append(_ word: AlignedText, to content: inout [PromptToken]) {
    var bytes: [UInt8] = []
    var owners: [Int] = []
    for (index, scalar) in word.scalars.enumerated() {
      for byte in UTF8.encode(scalar) ?? .init() {
        bytes.append(byte)
        owners.append(index)
      }
    }
    var start = 0
    for token in model.tokens(of: bytes) {
      let end = start + token.bytes
      content.append(PromptToken(id: token.id, source: word.source(of: owners[start]..<owners[end - 1] + 1)))
      start = end
    }
  }

  /// Source: transformers `clean_up_tokenization`.
  private static func cleanedUp(_ text: String) -> String {
    let rules = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
      (" 've", "'ve"), (" 're", "'re"),
    ]
    return rules.reduce(text) { $0.replacingBytes(of: $1.0, with: $1.1) }
  }
}
