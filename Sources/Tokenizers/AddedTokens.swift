// Tokens that are matched in the prompt itself, before the model of the tokenizer sees the text: `</s>`,
// `<extra_id_0>`, and in Stable Diffusion 3 the padding token `!`.

/// A token that is matched as text. Source: tokenizers `AddedToken`.
public struct AddedToken: Equatable, Sendable {
  public var content: String
  /// Matches only where no letter, mark or digit touches it.
  public var singleWord: Bool
  /// Takes the white space on its left along.
  public var stripsLeft: Bool
  /// Takes the white space on its right along.
  public var stripsRight: Bool
  /// Is compared with the normalised text (lower-cased, composed …) instead of the text as written.
  public var normalized: Bool
  /// Is left out when decoding without special tokens.
  public var special: Bool

  public init(
    _ content: String, singleWord: Bool = false, stripsLeft: Bool = false, stripsRight: Bool = false,
    normalized: Bool = false, special: Bool = true
  ) {
    self.content = content
    self.singleWord = singleWord
    self.stripsLeft = stripsLeft
    self.stripsRight = stripsRight
    self.normalized = normalized
    self.special = special
  }
}

/// The added tokens of a tokenizer, with their ids, ready to be found in prompts.
/// Source: tokenizers `AddedVocabulary`.
struct AddedVocabulary: Sendable {
  /// A stretch of a prompt: an added token, or normalised text for the model.
  enum Section {
    case token(id: Int32, source: Range<Int>?)
    case text(AlignedText)
  }

  /// By id, each with its content as decoding spells it: normalised where it is matched so.
  private(set) var tokens: [Int32: AddedToken] = [:]
  private var verbatim = TokenMatcher()
  private var normalized = TokenMatcher()

  /// - Parameter normalize: what the tokenizer does to text; applied to the contents of `normalized` tokens as well
  init(_ tokens: [(id: Int32, token: AddedToken)], normalize: (AlignedText) -> AlignedText) {
    for (id, token) in tokens where !token.content.isEmpty {
      var token = token
      if token.normalized {
        let content = normalize(AlignedText(token.content))
        token.content = content.string
        normalized.insert(content.scalars, id: id, token)
      } else {
        verbatim.insert(Array(token.content.unicodeScalars), id: id, token)
      }
      self.tokens[id] = token
    }
  }

  /// Cuts a prompt into added tokens and normalised text: first the tokens that match as written, then, in what is left
  /// and normalised, the others.
  func sections(of prompt: String, normalize: (AlignedText) -> AlignedText) -> [Section] {
    var sections: [Section] = []
    for piece in verbatim.cut(AlignedText(prompt)) {
      guard case .text(let text) = piece else {
        sections.append(piece)
        continue
      }
      sections += normalized.cut(normalize(text))
    }
    return sections
  }
}

/// Finds a set of tokens in text: the leftmost, of several the longest.
private struct TokenMatcher: Sendable {
  struct Candidate: Sendable {
    let scalars: [Unicode.Scalar]
    let id: Int32
    let token: AddedToken
  }

  /// By first scalar, longest first.
  var candidates: [Unicode.Scalar: [Candidate]] = [:]

  mutating func insert(_ scalars: [Unicode.Scalar], id: Int32, _ token: AddedToken) {
    guard let first = scalars.first else { return }
    var list = candidates[first, default: []]
    let place = list.firstIndex { $0.scalars.count < scalars.count } ?? list.count
    list.insert(Candidate(scalars: scalars, id: id, token: token), at: place)
    candidates[first] = list
  }

  func cut(_ text: AlignedText) -> [AddedVocabulary.Section] {
    guard !candidates.isEmpty else { return text.isEmpty ? [] : [.text(text)] }
    var sections: [AddedVocabulary.Section] = []
    var done = 0
    var position = 0
    while position < text.count {
      guard let match = candidate(at: position, in: text) else {
        position += 1
        continue
      }
      let end = position + match.scalars.count
      defer { position = end }
      // A match that is no single word is dropped, and a shorter one in its place is not tried.
      if match.token.singleWord && !standsAlone(position..<end, in: text) { continue }
      let range = extended(position..<end, match.token, after: done, in: text)
      if done < range.lowerBound { sections.append(.text(text[done..<range.lowerBound])) }
      sections.append(.token(id: match.id, source: text.source(of: range)))
      done = range.upperBound
    }
    if done < text.count { sections.append(.text(text[done..<text.count])) }
    return sections
  }

  private func candidate(at position: Int, in text: AlignedText) -> Candidate? {
    candidates[text.scalars[position]]?.first { text.scalars[position...].starts(with: $0.scalars) }
  }

  private func standsAlone(_ range: Range<Int>, in text: AlignedText) -> Bool {
    let left = range.lowerBound == 0 || !text.scalars[range.lowerBound - 1].isWordCharacter
    let right = range.upperBound == text.count || !text.scalars[range.upperBound].isWordCharacter
    return left && right
  }

  /// The match with the white space that it takes along, never past what an earlier match took.
  private func extended(
    _ range: Range<Int>, _ token: AddedToken, after done: Int, in text: AlignedText
  ) -> Range<Int> {
    var (lower, upper) = (range.lowerBound, range.upperBound)
    if token.stripsLeft {
      while lower > done, text.scalars[lower - 1].properties.isWhitespace { lower -= 1 }
    }
    if token.stripsRight {
      while upper < text.count, text.scalars[upper].properties.isWhitespace { upper += 1 }
    }
    return min(max(lower, done), upper)..<upper
  }
}

extension Unicode.Scalar {
  /// The class `\w` of Unicode regular expressions (UTS #18, annex C).
  fileprivate var isWordCharacter: Bool {
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return false
    }
  }
}
