import TestSupport
import Testing

/// Every tokenizer, against transformers and SentencePiece.
@Suite struct TokenizersGoldenTests {
  @Test(arguments: Golden.cases(TokenizersKind.self)) func matchesReference(_ golden: GoldenCase) throws {
    switch try golden.kind(TokenizersKind.self) {
    case .tokenizer: try TokenizerCase(folder: golden.folder).check()
    }
  }
}
