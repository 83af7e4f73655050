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
