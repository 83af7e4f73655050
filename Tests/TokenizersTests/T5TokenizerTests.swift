import Testing
import Tokenizers

@Suite struct T5TokenizerTests {
  static let pieces: [(String, Double)] = [
    ("▁", -3), ("▁cat", -4), ("c", -5), ("a", -5), ("t", -5), ("s", -5), ("at", -6), ("▁a", -4.5),
  ]

  static func sketch(config: [String: Any] = [:]) throws -> TokenizerFolderSketch {
    let folder = try TokenizerFolderSketch()
    try folder.writeUnigram(pieces, config: config)
    return folder
  }

  static func tokens(_ text: String, _ tokenizer: any Tokenizer) throws -> [String] {
    let prompt = try tokenizer.encode(text)
    return tokenizer.tokens(for: Array(prompt.ids[prompt.contentRange]))
  }

  @Test func wordsStartWithABlankAndAreCutAtTheBestScore() throws {
    let tokenizer = try Self.sketch().load()
    #expect(try Self.tokens("cats a cat", tokenizer) == ["▁cat", "s", "▁a", "▁cat"])
    #expect(try Self.tokens("  cat\u{2003}\ncat ", tokenizer) == ["▁cat", "▁cat"])
    #expect(try Self.tokens("▁▁cat▁a", tokenizer) == ["▁", "▁cat", "▁a"])
    #expect(try Self.tokens("", tokenizer) == [])
  }

  @Test func neighbouringUnknownCharactersFormOneToken() throws {
    let tokenizer = try Self.sketch().load()
    let prompt = try tokenizer.encode("日本 xy cat")
    #expect(tokenizer.tokens(for: prompt.ids) == ["▁", "<unk>", "▁", "<unk>", "▁cat", "</s>"])
    #expect(prompt.sources[1] == 0..<6)
    #expect(prompt.sources[0] == 0..<0)
    #expect(prompt.sources[4] == 10..<13)
    #expect(prompt.sources[5] == nil)
  }

  @Test func aPromptIsClosedPaddedAndCut() throws {
    let tokenizer = try Self.sketch().load()
    #expect(tokenizer.special == SpecialTokens(beginning: nil, end: 1, padding: 0, unknown: 2))
    let prompt = try tokenizer.encode("cat", maxLength: 4)
    #expect(prompt.ids == [4, 1, 0, 0])
    #expect(prompt.attentionMask == [1, 1, 0, 0])
    #expect(try tokenizer.encode("cat cat cat", maxLength: 2).ids == [4, 1])
    #expect(try tokenizer.encode("cat", maxLength: 1).ids == [1])
    #expect(throws: TokenizerError.self) { try tokenizer.encode("cat", maxLength: 0) }
  }

  @Test func specialTokensInAPromptAreTheirIds() throws {
    let tokenizer = try Self.sketch(config: ["extra_ids": 2]).load()
    #expect(try tokenizer.encode("cat</s>a<extra_id_1>").ids == [4, 1, 10, 12, 1])
    #expect(tokenizer.id(for: "<extra_id_0>") == 11)
    #expect(try tokenizer.encode("<pad><unk>").ids == [0, 2, 1])
  }

  @Test func bestPathEqualsTheBestOfAllPaths() throws {
    var random = SeededGenerator(2)
    for _ in 0..<15 {
      var scores: [String: Double] = ["▁": -1]
      for _ in 0..<14 {
        let length = Int.random(in: 1...4, using: &random)
        let piece = (0..<length).map { _ in ["a", "b", "é"].randomElement(using: &random) ?? "" }.joined()
        scores[piece] = -Double.random(in: 1...9, using: &random)
      }
      let folder = try TokenizerFolderSketch()
      try folder.writeUnigram(scores.sorted { $0.key < $1.key })
      let tokenizer = try folder.load()
      let unknown = min(0, scores.values.min() ?? 0) - 10
      for _ in 0..<20 {
        let count = Int.random(in: 1...9, using: &random)
        let text = "▁" + (0..<count).map { _ in ["a", "b", "é"].randomElement(using: &random) ?? "" }.joined()
        let best = Self.bestScore(Array(text), scores, unknown)
        // The score of the cut that the tokenizer chose, every character of an unknown run counted.
        let prompt = try tokenizer.encode(text)
        var score = 0.0
        var covered = 0
        for index in prompt.contentRange {
          let source = try #require(prompt.sources[index])
          let piece = String(decoding: Array(text.utf8)[source], as: UTF8.self)
          covered += source.count
          score += prompt.ids[index] == 2 ? unknown * Double(piece.count) : try #require(scores[piece])
        }
        #expect(covered == text.utf8.count)
        #expect(abs(score - best) < 1e-9, "\(text) \(scores)")
      }
    }
  }

  static func bestScore(_ word: [Character], _ scores: [String: Double], _ unknown: Double) -> Double {
    guard !word.isEmpty else { return 0 }
    return (1...min(4, word.count)).compactMap { length -> Double? in
      let piece = String(word.prefix(length))
      guard let score = scores[piece] ?? (length == 1 ? unknown : nil) else { return nil }
      return score + bestScore(Array(word.dropFirst(length)), scores, unknown)
    }.max() ?? -.infinity
  }

  @Test func canonicallyEquivalentPiecesStayApart() throws {
    let folder = try TokenizerFolderSketch()
    try folder.writeUnigram([("▁", -1), ("\u{E9}", -2), ("e\u{301}", -2)])
    let tokenizer = try folder.load()
    #expect(try tokenizer.encode("\u{E9}").ids == [3, 4, 1])
    #expect(try tokenizer.encode("e\u{301}").ids == [3, 5, 1])
    #expect(tokenizer.id(for: "e\u{301}") == 5)
  }

  @Test func decodingReturnsThePrompt() throws {
    let tokenizer = try Self.sketch().load()
    let prompt = try tokenizer.encode("cats a cat", maxLength: 8)
    #expect(tokenizer.decode(prompt.ids, skippingSpecialTokens: true) == "cats a cat")
    #expect(tokenizer.decode(prompt.ids) == "cats a cat</s><pad><pad><pad>")
    #expect(tokenizer.decode([-1, 12345]) == "")
  }

  @Test func tokensOfAConceptAreFoundInThePrompt() throws {
    let tokenizer = try Self.sketch().load()
    let prompt = try tokenizer.encode("a cats, cat", maxLength: 16)
    #expect(prompt.tokens(of: "cats").map { tokenizer.tokens(for: Array(prompt.ids[$0])) } == [["▁cat", "s"]])
    #expect(prompt.tokens(of: "cat").map { tokenizer.tokens(for: Array(prompt.ids[$0])) } == [["▁cat"]])
    #expect(prompt.tokens(covering: 0..<1) == 0..<1)
    #expect(prompt.tokens(covering: 1..<2) == nil)
  }
}
