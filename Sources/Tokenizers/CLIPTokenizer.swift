// The tokenizer of CLIP's text encoders: lower-cased words, cut by a fixed pattern, as byte pairs.

/// CLIP's tokenizer. Gives the ids of transformers' `CLIPTokenizer` (version 5; the fast tokenizer of version 4).
///
/// Text is composed (NFC), runs of white space become one blank, every character is lower-cased by itself; words are
/// cut by CLIP's pattern and spelled with byte pairs. Markup is not unescaped and text is not repaired: only the slow
/// tokenizer of version 4 does that, where the package `ftfy` is installed.
public struct CLIPTokenizer: Tokenizer {
  public let special: SpecialTokens
  public let modelMaxLength: Int?
  public let vocabularySize: Int
  let encoder: BytePairEncoder
  let added: AddedVocabulary
  let ids: [ExactString: Int32]
  let pieces: [Int32: String]

  public func encode(_ text: String, maxLength: Int?, padding: TokenPadding) throws -> TokenizedPrompt {
    var content: [PromptToken] = []
    for section in added.sections(of: text, normalize: Self.normalize) {
      switch section {
      case .token(let id, let source): content.append(PromptToken(id: id, source: source))
      case .text(let text): append(text, to: &content)
      }
    }
    return try TokenizedPrompt(
      text: text, content: content, special: special, maxLength: maxLength, padding: padding)
  }

  public func token(for id: Int32) -> String? { added.tokens[id]?.content ?? pieces[id] }

  public func id(for token: String) -> Int32? { ids[ExactString(token)] }

  public func decode(_ ids: [Int32], skippingSpecialTokens: Bool) -> String {
    let bytes = ids.flatMap { id -> [UInt8] in
      if skippingSpecialTokens, added.tokens[id]?.special == true { return [] }
      return token(for: id).map(ByteAlphabet.bytes(of:)) ?? []
    }
    return String(decoding: bytes, as: UTF8.self).replacingBytes(of: BytePairEncoder.wordEnd, with: " ").trimmed
  }

  private func append(_ text: AlignedText, to content: inout [PromptToken]) {
    for word in CLIPWords(text.scalars) {
      // One entry per byte: which scalar it belongs to.
      var bytes: [UInt8] = []
      var owners: [Int] = []
      for index in word {
        for byte in UTF8.encode(text.scalars[index]) ?? .init() {
          bytes.append(byte)
          owners.append(index)
        }
      }
      var start = 0
      for piece in encoder.pieces(of: bytes) {
        let end = start + piece.bytes
        content.append(PromptToken(id: piece.id, source: text.source(of: owners[start]..<owners[end - 1] + 1)))
        start = end
      }
    }
  }

  /// Composed, white space collapsed, lower-cased scalar by scalar (no rule for a final sigma).
  static func normalize(_ text: AlignedText) -> AlignedText {
    let composed = CanonicalComposition.compose(text)
    var result = AlignedText()
    var blank: Range<Int>?
    for (scalar, source) in zip(composed.scalars, composed.sources) {
      if scalar.properties.isWhitespace {
        blank = (blank?.lowerBound ?? source.lowerBound)..<source.upperBound
        continue
      }
      if let run = blank { result.append(" ", from: run) }
      blank = nil
      for lower in scalar.properties.lowercaseMapping.unicodeScalars { result.append(lower, from: source) }
    }
    if let run = blank { result.append(" ", from: run) }
    return result
  }
}

extension String {
  /// Without white space at both ends, as Python's `strip` has it: with the four separator controls.
  fileprivate var trimmed: String {
    func isBlank(_ scalar: Unicode.Scalar) -> Bool {
      scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }
    let scalars = unicodeScalars.drop(while: isBlank)
    let end = scalars.lastIndex { !isBlank($0) }.map(scalars.index(after:)) ?? scalars.startIndex
    return String(scalars[..<end])
  }

  /// Every `part` replaced, compared by bytes.
  func replacingBytes(of part: String, with replacement: String) -> String {
    let (source, pattern) = (Array(utf8), Array(part.utf8))
    guard !pattern.isEmpty, source.count >= pattern.count else { return self }
    var result: [UInt8] = []
    var position = 0
    while position < source.count {
      if source[position...].starts(with: pattern) {
        result += replacement.utf8
        position += pattern.count
      } else {
        result.append(source[position])
        position += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
