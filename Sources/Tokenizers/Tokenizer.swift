// What every tokenizer offers, and the prompt that comes out of one.

/// Turns prompts into the ids that a text encoder was trained with, exactly as the reference implementation does.
public protocol Tokenizer: Sendable {
  /// The ids that the model gives a meaning of their own.
  var special: SpecialTokens { get }
  /// One more than the largest id.
  var vocabularySize: Int { get }
  /// The length that `tokenizer_config.json` states (`model_max_length`); nil when it states none.
  var modelMaxLength: Int? { get }

  /// Tokenizes a prompt and adds the special tokens.
  ///
  /// - Parameters:
  ///   - maxLength: tokens of the prompt beyond this many, special ones included, are cut off; nil for no limit
  ///   - padding: whether to fill up to `maxLength`; without a limit nothing is filled
  /// - Throws: `TokenizerError` when `maxLength` has no room for the special tokens
  func encode(_ text: String, maxLength: Int?, padding: TokenPadding) throws -> TokenizedPrompt

  /// The text of `ids`; ids without a token are left out.
  func decode(_ ids: [Int32], skippingSpecialTokens: Bool) -> String

  /// The token with this id as the vocabulary spells it (`cat</w>`, `▁cat`); nil for an id outside the vocabulary.
  func token(for id: Int32) -> String?

  /// The id of a token as the vocabulary spells it; nil when it has none.
  func id(for token: String) -> Int32?
}

extension Tokenizer {
  /// Tokenizes a prompt without limit and padding.
  public func encode(_ text: String) throws -> TokenizedPrompt {
    try encode(text, maxLength: nil, padding: .none)
  }

  /// Tokenizes a prompt to exactly `maxLength` tokens, as the diffusion pipelines do.
  public func encode(_ text: String, maxLength: Int) throws -> TokenizedPrompt {
    try encode(text, maxLength: maxLength, padding: .toMaxLength)
  }

  /// The text of `ids`, special tokens included.
  public func decode(_ ids: [Int32]) -> String {
    decode(ids, skippingSpecialTokens: false)
  }

  /// The tokens of `ids` as the vocabulary spells them; an empty string for an id outside the vocabulary.
  public func tokens(for ids: [Int32]) -> [String] {
    ids.map { token(for: $0) ?? "" }
  }
}

/// What follows the last token of a prompt that is shorter than the limit.
public enum TokenPadding: Sendable {
  case none
  case toMaxLength
}

/// The ids that open, close and fill a prompt and stand for what the vocabulary cannot spell.
public struct SpecialTokens: Equatable, Sendable {
  /// Opens every prompt; nil for T5, which has no such token.
  public var beginning: Int32?
  /// Closes every prompt.
  public var end: Int32
  public var padding: Int32
  public var unknown: Int32

  public init(beginning: Int32?, end: Int32, padding: Int32, unknown: Int32) {
    self.beginning = beginning
    self.end = end
    self.padding = padding
    self.unknown = unknown
  }
}

/// A prompt as ids, with the way back to the words it was made of.
public struct TokenizedPrompt: Equatable, Sendable {
  /// The prompt as it was given.
  public let text: String
  /// `[tokens]`, special tokens and padding included.
  public let ids: [Int32]
  /// `[tokens]`: 1 for the prompt and its special tokens, 0 for padding.
  public let attentionMask: [Int32]
  /// `[tokens]`: the UTF-8 offsets in `text` that a token stands for. Nil for special tokens and padding; empty for a
  /// token that stands for nothing of the prompt (T5's `▁` in front of a word).
  public let sources: [Range<Int>?]
  /// The tokens of the text: without what opens, closes and fills the prompt.
  public let contentRange: Range<Int>
  /// How many tokens of the text the limit cut off.
  public let truncatedCount: Int

  public var count: Int { ids.count }

  /// The tokens that stand for any part of `range`, UTF-8 offsets in ``text``; nil when no token does, because the
  /// range is blank or was cut off.
  public func tokens(covering range: Range<Int>) -> Range<Int>? {
    let hits = contentRange.filter { index in
      guard let source = sources[index] else { return false }
      return source.overlaps(range)
    }
    guard let first = hits.first, let last = hits.last else { return nil }
    return first..<last + 1
  }

  /// The tokens of each place where `phrase` stands in the prompt as whole words, letter case aside.
  ///
  /// `"cat"` is found in `"a Cat, a dog"` and not in `"a cathedral"`. Places that were cut off are left out.
  public func tokens(of phrase: String) -> [Range<Int>] {
    let needle = AlignedText(phrase).scalars.flatMap(\.properties.lowercaseMapping.unicodeScalars)
    guard !needle.isEmpty else { return [] }
    var folded = AlignedText()
    let original = AlignedText(text)
    for (scalar, source) in zip(original.scalars, original.sources) {
      for lower in scalar.properties.lowercaseMapping.unicodeScalars { folded.append(lower, from: source) }
    }
    var places: [Range<Int>] = []
    var start = 0
    while start + needle.count <= folded.count {
      let range = start..<start + needle.count
      if folded.scalars[range].elementsEqual(needle), isWhole(range, in: folded) {
        if let source = folded.source(of: range), let tokens = tokens(covering: source) { places.append(tokens) }
        start = range.upperBound
      } else {
        start += 1
      }
    }
    return places
  }

  private func isWhole(_ range: Range<Int>, in text: AlignedText) -> Bool {
    func continues(_ left: Int, _ right: Int) -> Bool {
      left >= 0 && right < text.count && text.scalars[left].properties.isAlphabetic
        && text.scalars[right].properties.isAlphabetic
    }
    return !continues(range.lowerBound - 1, range.lowerBound) && !continues(range.upperBound - 1, range.upperBound)
  }
}

/// One token of a prompt before special tokens are added.
struct PromptToken: Sendable {
  var id: Int32
  var source: Range<Int>?
}

extension TokenizedPrompt {
  /// Cuts, frames and fills: the last step of every tokenizer.
  init(
    text: String, content: [PromptToken], special: SpecialTokens, maxLength: Int?, padding: TokenPadding
  ) throws {
    let opening = special.beginning.map { [$0] } ?? []
    let required = opening.count + 1
    if let maxLength, maxLength < required {
      throw TokenizerError("", .lengthTooSmall(maxLength: maxLength, required: required))
    }
    let kept = maxLength.map { content.prefix($0 - required) } ?? content[...]
    let used = kept.count + required
    let fill = padding == .toMaxLength ? max(0, (maxLength ?? used) - used) : 0
    self.text = text
    ids = opening + kept.map(\.id) + [special.end] + Array(repeating: special.padding, count: fill)
    attentionMask = Array(repeating: 1, count: used) + Array(repeating: 0, count: fill)
    sources = opening.map { _ in nil } + kept.map(\.source) + Array(repeating: nil, count: fill + 1)
    contentRange = opening.count..<opening.count + kept.count
    truncatedCount = content.count - kept.count
  }
}
