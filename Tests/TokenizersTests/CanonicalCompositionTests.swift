import Testing
import Tokenizers

/// Canonical composition against what the standard library knows about equivalence.
@Suite struct CanonicalCompositionTests {
  static func composed(_ text: String) -> [UInt32] {
    CanonicalComposition.compose(AlignedText(text)).scalars.map(\.value)
  }

  @Test func textComposesAsTheStandardSays() {
    #expect(Self.composed("e\u{301}") == [0xE9])
    #expect(Self.composed("\u{E9}\u{323}") == [0x1EB9, 0x301])
    #expect(Self.composed("\u{212B}\u{2126}") == [0xC5, 0x3A9])
    #expect(Self.composed("\u{1100}\u{1161}\u{11A8}") == [0xAC01])
    #expect(Self.composed("\u{AC00}\u{11A8}") == [0xAC01])
    #expect(Self.composed("\u{958}") == [0x915, 0x93C], "composition exclusions stay apart")
    #expect(Self.composed("a\u{345}\u{300}") == [0xE0, 0x345], "marks are ordered by class")
    #expect(Self.composed("a\u{302}\u{301}") == [0x1EA5])
    #expect(Self.composed("a\u{300}\u{302}") == [0xE0, 0x302], "equal classes keep their order")
    #expect(Self.composed("\u{F75}\u{F71}") == [0xF71, 0xF71, 0xF74], "a starter that decomposes into marks")
    #expect(Self.composed("\u{301}a") == [0x301, 0x61])
    #expect(Self.composed("") == [])
  }

  @Test func composedTextIsEquivalentAndStays() {
    var random = SeededGenerator(3)
    // Letters, marks, Hangul and compatibility ideographs of Unicode 9 and before. Not U+0F73, U+0F75 and U+0F81, which
    // the standard library does not sort with what stands before them.
    let ranges: [ClosedRange<UInt32>] = [
      0x41...0x5A, 0xC0...0x17F, 0x300...0x362, 0x391...0x3CE, 0x591...0x5BD, 0x915...0x95F, 0x9BE...0x9D7,
      0xF40...0xF72, 0x1100...0x1112, 0x1161...0x1175, 0x11A8...0x11C2, 0x1E00...0x1EFF, 0x1F00...0x1F15,
      0x304B...0x309A, 0xAC00...0xAC40, 0xF900...0xFA0D,
    ]
    for _ in 0..<3000 {
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let range = ranges.randomElement(using: &random) ?? 0x41...0x5A
        if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)),
          let age = scalar.properties.age, age.major <= 9
        {
          text.append(scalar)
        }
      }
      let original = String(text)
      let once = CanonicalComposition.compose(AlignedText(original)).string
      #expect(once == original, "Swift compares by canonical equivalence")
      #expect(Self.composed(once) == once.unicodeScalars.map(\.value), "composing twice changes nothing")
    }
  }

  @Test func laterCharactersPassUnchanged() {
    // U+0898 is a mark of Unicode 14, U+11938 a composite of Unicode 13: the reference knows neither.
    #expect(Self.composed("a\u{898}\u{301}") == [0x61, 0x898, 0x301])
    #expect(Self.composed("\u{11938}") == [0x11938])
  }
}
