import Tensor
import Tokenizers

/// How phrases are dealt out to passes of a text encoder: together, so that its weights are read and unpacked once and not
/// once a phrase, but no more at a time than keeps the activations small beside the weights. A phrase's states have the
/// same bits whatever else is in its pass.
struct TextPasses {
  /// Tokens of one pass: T5-XXL's feed-forward layer then holds some 250 MB.
  static let tokensPerPass = 2048

  /// The phrases of each pass.
  let ranges: [Range<Int>]

  /// - Parameters:
  ///   - phrases: how many there are
  ///   - tokens: of each, padding included
  init(_ phrases: Int, tokens: Int) {
    let most = max(1, Self.tokensPerPass / max(1, tokens))
    ranges = stride(from: 0, to: phrases, by: most).map { $0..<min(phrases, $0 + most) }
  }
}

extension TextEncoderPart where Encoder == T5Encoder {
  /// Phrases, each as if alone, padding shown to the encoder as the pipelines show it: without a mask.
  ///
  /// - Throws: `TokenizerError`
  func phrases(_ texts: [String], maxLength: Int) throws -> [EncodedPhrase] {
    let codes = try codes(texts, length: maxLength, .states)
    return try zip(texts, codes).map { text, code in
      let prompt = try tokenizer.encode(text, maxLength: maxLength)
      return EncodedPhrase(
        text: text, states: code.states ?? Tensor(zeros: [0, 0]), spans: [prompt.contentRange],
        hasUnknown: prompt.contains(tokenizer.special.unknown))
    }
  }
}
