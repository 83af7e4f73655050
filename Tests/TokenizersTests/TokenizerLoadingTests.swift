import Foundation
import TestSupport
import Testing
import Tokenizers

/// What a damaged or unsuitable folder is answered with: an error that names the file, never a crash.
@Suite struct TokenizerLoadingTests {
  static func problem(_ folder: TokenizerFolderSketch) -> TokenizerError.Problem? {
    do {
      _ = try folder.load()
      return nil
    } catch { return (error as? TokenizerError)?.problem }
  }

  @Test func aMissingFileIsNamed() throws {
    #expect(throws: TokenizerError.self) { try loadTokenizer(folder: "/nowhere/tokenizer") }
    let folder = try TokenizerFolderSketch()
    try folder.write("vocab.json", "{\"a\": 0}")
    let error = #expect(throws: TokenizerError.self) { try folder.load() }
    #expect(error?.path == folder.path + "/merges.txt")
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("tokenizer.json"), withIntermediateDirectories: false)
    #expect(throws: TokenizerError.self) { try folder.load() }
  }

  @Test(arguments: [
    ("{\"a\": 0", 7), ("{\"a\" 0}", 5), ("[1, 2", 5), ("{\"a\": 0} x", 9), ("{\"a\": tru}", 6), ("{\"a\": \"\\x\"}", 8),
    ("{\"a\": \"\\ud800\"}", 9), ("{\"a\": 1.2.3}", 9), ("{\"a\": 01}", 6), ("{\"a\": 1e999}", 6), ("{\"a\": \"", 7),
    ("", 0), ("{\"\u{1}\": 1}", 2),
  ])
  func brokenJSONIsLocated(_ text: String, _ offset: Int) throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("tokenizer_config.json", text)
    guard case .brokenJSON(let found, _) = Self.problem(folder) else {
      Issue.record("\(text): \(String(describing: Self.problem(folder)))")
      return
    }
    #expect(found == offset, "\(text)")
  }

  @Test func deeplyNestedJSONIsRefused() throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("tokenizer.json", String(repeating: "[", count: 1_000_000))
    guard case .brokenJSON = Self.problem(folder) else {
      Issue.record("accepted")
      return
    }
  }

  @Test func jsonThatIsNotUTF8IsRefused() throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("tokenizer_config.json", [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D])
    guard case .brokenJSON = Self.problem(folder) else {
      Issue.record("accepted")
      return
    }
  }

  @Test func escapesInVocabulariesAreRead() throws {
    let folder = try TokenizerFolderSketch()
    let pieces = #"[["<pad>",0],["</s>",0],["<unk>",0],["\u2581",-1],["\ud83d\ude00",-2],["\"\\\/",-3e0]]"#
    try folder.write("tokenizer.json", "\u{FEFF}{\"model\": {\"type\": \"Unigram\", \"vocab\": \(pieces)}}")
    let tokenizer = try folder.load()
    #expect(tokenizer.id(for: "😀") == 4)
    #expect(tokenizer.id(for: "\"\\/") == 5)
  }

  @Test func idsOutOfRangeAreNamed() throws {
    for id in ["-1", "2147483647", "1e300", "0.5", "\"7\"", "null"] {
      let folder = try TokenizerFolderSketch()
      try folder.write("vocab.json", "{\"a\": 0, \"bad\": \(id)}")
      try folder.write("merges.txt", "")
      guard case .idOutOfRange(token: "bad", _) = Self.problem(folder) else {
        Issue.record("\(id): \(String(describing: Self.problem(folder)))")
        continue
      }
    }
  }

  @Test func mergesOfUnknownPiecesAreNamed() throws {
    let folder = try CLIPTokenizerTests.sketch()
    try folder.write("merges.txt", "#version: 0.2\nt h\nt zz\n")
    #expect(Self.problem(folder) == .mergeOfUnknownPiece(rule: 2, piece: "zz"))
    try folder.write("merges.txt", "c t\n")
    #expect(Self.problem(folder) == .mergeOfUnknownPiece(rule: 1, piece: "ct"))
    try folder.write("merges.txt", "t h\nt  h\n")
    #expect(Self.problem(folder) == .brokenMerge(rule: 2, text: "t  h"))
    try folder.write("merges.txt", "t h\r\n")
    #expect(Self.problem(folder) == nil)
  }

  @Test func aVocabularyWithoutItsSpecialTokensIsRefused() throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("vocab.json", "{\"a\": 0, \"<|startoftext|>\": 1}")
    try folder.write("merges.txt", "")
    #expect(Self.problem(folder) == .missingSpecialToken(name: "end", token: "<|endoftext|>"))
    let unigram = try T5TokenizerTests.sketch(config: ["eos_token": "<end>"])
    #expect(Self.problem(unigram) == .missingSpecialToken(name: "end", token: "<end>"))
  }

  @Test func whatIsNotBuiltIsRefused() throws {
    let left = try CLIPTokenizerTests.sketch(["padding_side": "left"])
    #expect(Self.problem(left) == .unsupported("padding_side 'left'; expected 'right'"))
    let other = try T5TokenizerTests.sketch(config: ["tokenizer_class": "LlamaTokenizerFast"])
    guard case .unexpectedValue(key: "tokenizer_class", _, _) = Self.problem(other) else {
      Issue.record("accepted")
      return
    }
    let words = try TokenizerFolderSketch()
    try words.write("tokenizer.json", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}}")
    guard case .unsupported = Self.problem(words) else {
      Issue.record("accepted")
      return
    }
  }

  @Test func anAddedTokenWhoseIdContradictsTheVocabularyIsNamed() throws {
    let folder = try CLIPTokenizerTests.sketch(["added_tokens_decoder": ["300": ["content": "<new>"]]])
    guard case .unexpectedValue("the id of '<new>'", "300", _) = Self.problem(folder) else {
      Issue.record("\(String(describing: Self.problem(folder)))")
      return
    }
  }

  // MARK: SentencePiece files

  /// A small model with a character map, from the fixtures.
  static func model() throws -> [UInt8] {
    let file = Golden.fixtures.appendingPathComponent("pipelines/cogvideox-5b-dpm/pipeline/tokenizer/spiece.model")
    return Array(try Data(contentsOf: file))
  }

  @Test func aModelCutShortNeverCrashes() throws {
    let bytes = try Self.model()
    let folder = try TokenizerFolderSketch()
    var refused = 0
    for length in stride(from: 0, to: bytes.count, by: 7) {
      try folder.write("spiece.model", bytes.prefix(length))
      do { _ = try folder.load().encode("a cat \u{2014} “quoted” e\u{301}") } catch is TokenizerError { refused += 1 }
    }
    #expect(refused > bytes.count / 14, "most cuts fall inside a field")
  }

  @Test func damagedBytesNeverCrash() throws {
    let bytes = try Self.model()
    let folder = try TokenizerFolderSketch()
    var random = SeededGenerator(4)
    for _ in 0..<400 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...20, using: &random) {
        damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      try folder.write("spiece.model", damaged)
      do {
        _ = try folder.load().encode("A cat \u{2014} “quoted” Straße e\u{301} \u{AD}\u{1F431} ½")
      } catch is TokenizerError {}
    }
  }

  @Test(
    arguments: [
      ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "longer than the file"), ([0x0A, 0x80], "unfinished length"),
      ([0x0B], "group"), ([0x0D, 0x01], "short number"), ([0x08] + Array(repeating: 0xFF, count: 11), "long number"),
      ([], "empty"), ([0x0A, 0x03, 0x0A, 0x01, 0xFF], "not UTF-8"), ([0x02], "field 0"),
    ] as [([UInt8], String)])
  func brokenProtobufIsRefused(_ bytes: [UInt8], _ what: String) throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("spiece.model", bytes)
    guard case .brokenProtobuf = Self.problem(folder) else {
      Issue.record("\(what): \(String(describing: Self.problem(folder)))")
      return
    }
  }

  @Test(arguments: ["", "AAA", "////", "AAAAAA==", "BAAAAA==", "!!!!"])
  func brokenCharacterMapsAreRefused(_ map: String) throws {
    let folder = try TokenizerFolderSketch()
    try folder.writeUnigram(
      T5TokenizerTests.pieces, normalizer: ["type": "Precompiled", "precompiled_charsmap": map])
    if map.isEmpty {
      #expect(Self.problem(folder) == nil)
      return
    }
    guard case .brokenCharacterMap = Self.problem(folder) else {
      Issue.record("\(map): \(String(describing: Self.problem(folder)))")
      return
    }
  }

  @Test func characterMapsReplaceGraphemesByTheirShortestEntry() throws {
    let folder = try TokenizerFolderSketch()
    try folder.write("spiece.model", try Self.model())
    let tokenizer = try folder.load()
    func same(_ a: String, _ b: String) throws { #expect(try tokenizer.encode(a).ids == tokenizer.encode(b).ids) }
    try same("“cat”…", "\"cat\"...")
    try same("\u{1F431}", "cat")
    try same("stra\u{DF}e", "strasse")
    try same("zero\u{200B}width", "zerowidth")
    // 'C' is mapped to 'c': the accent of the cluster goes with it.
    try same("C\u{301}", "c")
    // Beyond five bytes a cluster is taken scalar by scalar, and the accents stay.
    #expect(try tokenizer.encode("C\u{301}\u{301}\u{301}").ids != tokenizer.encode("c").ids)
  }
}
