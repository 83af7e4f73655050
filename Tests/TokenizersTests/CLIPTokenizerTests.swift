import Testing
import Tokenizers

@Suite struct CLIPTokenizerTests {
  /// A vocabulary with the words "cat" and "the".
  static func sketch(_ config: [String: Any] = [:]) throws -> TokenizerFolderSketch {
    let folder = try TokenizerFolderSketch()
    try folder.writeBytePairs(
      merges: [("t", "h"), ("th", "e</w>"), ("c", "a"), ("ca", "t</w>"), ("ca", "t")], config: config)
    return folder
  }

  static func words(_ text: String, _ tokenizer: any Tokenizer) throws -> [String] {
    let prompt = try tokenizer.encode(text)
    return tokenizer.tokens(for: Array(prompt.ids[prompt.contentRange]))
  }

  @Test func promptsAreLowerCasedCutAndMerged() throws {
    let tokenizer = try Self.sketch().load()
    #expect(try Self.words("The CAT", tokenizer) == ["the</w>", "cat</w>"])
    #expect(try Self.words("cat's", tokenizer) == ["cat</w>", "'", "s</w>"])
    #expect(try Self.words("12", tokenizer) == ["1</w>", "2</w>"])
    #expect(try Self.words("!?'s", tokenizer) == ["!", "?", "'</w>", "s</w>"])
    #expect(try Self.words(" \t\n\u{A0}\u{2003}", tokenizer) == [])
    #expect(try Self.words("", tokenizer) == [])
  }

  @Test func aPromptIsFramedPaddedAndCut() throws {
    let tokenizer = try Self.sketch().load()
    let (begin, end) = (try #require(tokenizer.special.beginning), tokenizer.special.end)
    let short = try tokenizer.encode("cat", maxLength: 5)
    let cat = try #require(tokenizer.id(for: "cat</w>"))
    #expect(short.ids == [begin, cat, end, end, end])
    #expect(short.attentionMask == [1, 1, 1, 0, 0])
    #expect(short.contentRange == 1..<2)
    let long = try tokenizer.encode("cat the cat the cat", maxLength: 4)
    #expect(long.ids == [begin, cat, try #require(tokenizer.id(for: "the</w>")), end])
    #expect(long.truncatedCount == 3)
    #expect(try tokenizer.encode("cat", maxLength: 2).ids == [begin, end])
    #expect(try tokenizer.encode("cat", maxLength: 9, padding: .none).ids == [begin, cat, end])
    #expect(throws: TokenizerError("", .lengthTooSmall(maxLength: 1, required: 2))) {
      try tokenizer.encode("cat", maxLength: 1)
    }
  }

  @Test func specialTokensInAPromptAreTheirIds() throws {
    let tokenizer = try Self.sketch().load()
    #expect(try tokenizer.encode("<|endoftext|>cat").ids[1] == tokenizer.special.end)
    // Not taken as a token, because it is written otherwise; the pattern still keeps it apart from what touches it.
    #expect(
      try Self.words("<|ENDOFTEXT|>>", tokenizer).joined() == "<|</w>endoftext</w>|></w>></w>")
  }

  @Test func aPaddingTokenOfThePromptsAlphabetIsMatchedFirst() throws {
    let tokenizer = try Self.sketch(["pad_token": "!"]).load()
    #expect(tokenizer.special.padding == 0)
    #expect(try tokenizer.encode("cat!!", maxLength: 6).ids.suffix(4) == [0, 0, tokenizer.special.end, 0])
  }

  @Test func flagsOfAddedTokensDecideWhatMatches() throws {
    func flags(_ content: String, _ changes: [String: Bool]) -> [String: Any] {
      ["content": content, "special": true].merging(changes) { $1 }
    }
    let tokenizer = try Self.sketch([
      "added_tokens_decoder": [
        "195": flags("Cat", ["normalized": true]), "196": flags("[L]", ["lstrip": true]),
        "197": flags("[R]", ["rstrip": true]), "198": flags("the", ["single_word": true]),
      ]
    ]).load()
    #expect(tokenizer.id(for: "[R]") == 197)
    func ids(_ text: String) throws -> [Int32] { try tokenizer.encode(text).ids.dropFirst().dropLast() }
    #expect(try ids("CATx") == [195, try #require(tokenizer.id(for: "x</w>"))])
    #expect(try ids("the") == [198])
    #expect(try ids("the-") == [198, try #require(tokenizer.id(for: "-</w>"))])
    #expect(try !ids("them").contains(198))
    #expect(try !ids("_the").contains(198))
    let prompt = try tokenizer.encode("x  [L] [R]  x")
    #expect(prompt.sources[2] == 1..<6)
    #expect(prompt.sources[3] == 7..<12)
  }

  @Test func mergingByHeapEqualsMergingByRank() throws {
    var random = SeededGenerator(1)
    let letters = ["a", "b", "c"]
    for _ in 0..<20 {
      var pieces = letters + letters.map { $0 + "</w>" }
      var merges: [(String, String)] = []
      while merges.count < 25 {
        let (left, right) = (pieces.randomElement(using: &random) ?? "", pieces.randomElement(using: &random) ?? "")
        guard !left.hasSuffix("</w>"), (left + right).count < 12 else { continue }
        guard !merges.contains(where: { $0 == (left, right) }), !pieces.contains(left + right) else { continue }
        merges.append((left, right))
        pieces.append(left + right)
      }
      let folder = try TokenizerFolderSketch()
      try folder.writeBytePairs(merges: merges)
      let tokenizer = try folder.load()
      for _ in 0..<40 {
        let word = (0..<Int.random(in: 1...40, using: &random)).map { _ in letters.randomElement(using: &random) ?? "" }
        #expect(try Self.words(word.joined(), tokenizer) == Self.merged(word, merges), "\(word) \(merges)")
      }
    }
  }

  /// Joins the leftmost of the pairs with the lowest rank until none is left.
  static func merged(_ word: [String], _ merges: [(String, String)]) -> [String] {
    var pieces = word
    pieces[pieces.count - 1] += "</w>"
    while true {
      let best = pieces.indices.dropLast().compactMap { index in
        merges.firstIndex { $0 == (pieces[index], pieces[index + 1]) }.map { (rank: $0, index: index) }
      }.min { ($0.rank, $0.index) < ($1.rank, $1.index) }
      guard let best else { return pieces }
      pieces.replaceSubrange(best.index...best.index + 1, with: [pieces[best.index] + pieces[best.index + 1]])
    }
  }

  /// In time that grows with the square of the length this would not end.
  @Test func aWordOfAMillionLettersIsEncoded() throws {
    let prompt = try Self.sketch().load().encode(String(repeating: "cat", count: 400_000))
    #expect(prompt.count == 400_000 + 2)
  }

  @Test func decodingReturnsThePrompt() throws {
    let tokenizer = try Self.sketch().load()
    let prompt = try tokenizer.encode("The cat, the cat", maxLength: 12)
    #expect(tokenizer.decode(prompt.ids, skippingSpecialTokens: true) == "the cat , the cat")
    #expect(tokenizer.decode([99999, -5]) == "")
    #expect(tokenizer.token(for: -1) == nil)
  }

  @Test func tokensOfAConceptAreFoundInThePrompt() throws {
    let tokenizer = try Self.sketch().load()
    let prompt = try tokenizer.encode("the dog, a Cat and the cats: CAT", maxLength: 40)
    let places = prompt.tokens(of: "cat")
    #expect(places.count == 2)
    #expect(places.allSatisfy { tokenizer.decode(Array(prompt.ids[$0])) == "cat" })
    let dog = try #require(prompt.tokens(of: "dog").first)
    #expect(tokenizer.tokens(for: Array(prompt.ids[dog])) == ["d", "o", "g</w>"])
    #expect(prompt.tokens(of: "bird").isEmpty)
    #expect(prompt.tokens(of: "").isEmpty)
    #expect(try tokenizer.encode("the the cat", maxLength: 4).tokens(of: "cat").isEmpty)
  }

  @Test func sourcesFollowTextThatChangesLength() throws {
    let tokenizer = try Self.sketch().load()
    // U+0130 is lower-cased to two scalars, e + U+0301 is composed to one.
    let text = "\u{130} e\u{301} cat"
    let prompt = try tokenizer.encode(text)
    let place = try #require(prompt.tokens(of: "cat").first)
    #expect(place == prompt.contentRange.upperBound - 1..<prompt.contentRange.upperBound)
    #expect(prompt.tokens(of: "e\u{301}").first.map { prompt.sources[$0.lowerBound] } == 3..<6)
  }
}
