import Tokenizers

extension ModelFolder {
  /// A tokenizer whose ids its text encoder has vectors for.
  ///
  /// - Parameter vocabulary: rows of the encoder's embedding
  /// - Throws: `ModelError` when the tokenizer is absent or has more ids, `TokenizerError`
  func tokenizer(_ component: String, vocabulary: Int) throws -> any Tokenizer {
    guard exists(component) else { throw ModelError(path, .missingFile(component, hint: nil)) }
    let tokenizer = try loadTokenizer(folder: folder(component))
    guard tokenizer.vocabularySize <= vocabulary else {
      throw ModelError(
        folder(component),
        .badConfig("has \(tokenizer.vocabularySize) ids, vocab_size of its text encoder is \(vocabulary)"))
    }
    return tokenizer
  }
}
