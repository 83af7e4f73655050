// SentencePiece's precompiled normaliser: a double-array trie from characters to replacements.

/// The character map of a SentencePiece model (nmt_nfkc in T5's).
///
/// The blob is the size of the trie in bytes (UInt32, little-endian), the trie as 32-bit units, and the replacements,
/// each ending with a zero byte. Source: SentencePiece `Normalizer`; Rust crate spm_precompiled; tokenizers
/// `Precompiled`, whose habits with grapheme clusters are the reference.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]

  /// - Throws: `TokenizerError` naming `path` when the blob is cut short or its text is not UTF-8
  init(_ blob: [UInt8], path: String) throws {
    func broken(_ reason: String) -> TokenizerError { TokenizerError(path, .brokenCharacterMap(reason: reason)) }
    guard blob.count >= 4 else { throw broken("\(blob.count) bytes, expected at least 4") }
    func unit(at offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(blob[offset + $1]) << UInt32(8 * $1) }
    }
    let size = Int(unit(at: 0))
    guard size >= 4, size % 4 == 0, size <= blob.count - 4 else {
      throw broken("a trie of \(size) bytes in a map of \(blob.count)")
    }
    units = stride(from: 4, to: 4 + size, by: 4).map(unit(at:))
    replacements = Array(blob[(4 + size)...])
    guard String(validating: replacements, as: UTF8.self) != nil else { throw broken("replacements are not UTF-8") }
  }

  /// Replaces characters. A grapheme cluster of up to five bytes that starts with an entry is replaced whole by the
  /// shortest such entry, even where only its beginning matches; otherwise every scalar is looked up by itself.
  func normalize(_ text: AlignedText) -> AlignedText {
    var result = AlignedText()
    var start = 0
    for grapheme in text.string {
      let end = start + grapheme.unicodeScalars.count
      defer { start = end }
      if grapheme.utf8.count < 6, append(replacementFor: start..<end, of: text, to: &result) { continue }
      for index in start..<end where !append(replacementFor: index..<index + 1, of: text, to: &result) {
        result.append(text.scalars[index], from: text.sources[index])
      }
    }
    return result
  }

  private func append(replacementFor range: Range<Int>, of text: AlignedText, to result: inout AlignedText) -> Bool {
    guard let replacement = replacement(text.scalars[range]), let source = text.source(of: range) else { return false }
    for scalar in replacement.unicodeScalars { result.append(scalar, from: source) }
    return true
  }

  /// What the shortest entry that `scalars` start with is replaced by; nil when there is none.
  private func replacement(_ scalars: ArraySlice<Unicode.Scalar>) -> String? {
    var node = 0
    guard var unit = units.first else { return nil }
    node ^= unit.trieOffset
    for scalar in scalars {
      for byte in UTF8.encode(scalar) ?? .init() {
        // A zero byte ends every key of the trie.
        guard byte != 0 else { return nil }
        node ^= Int(byte)
        guard node < units.count else { return nil }
        unit = units[node]
        guard unit.trieLabel == UInt32(byte) else { return nil }
        node ^= unit.trieOffset
        guard node < units.count else { return nil }
        if unit.hasTrieLeaf { return text(at: Int(units[node] & 0x7FFF_FFFF)) }
      }
    }
    return nil
  }

  private func text(at offset: Int) -> String? {
    guard offset <= replacements.count else { return nil }
    let tail = replacements[offset...]
    return String(decoding: tail.prefix { $0 != 0 }, as: UTF8.self)
  }
}

/// The bit fields of a trie unit. Source: Darts-clone.
extension UInt32 {
  fileprivate var hasTrieLeaf: Bool { self >> 8 & 1 == 1 }
  fileprivate var trieLabel: UInt32 { self & (1 << 31 | 0xFF) }
  fileprivate var trieOffset: Int { Int(self >> 10) << Int((self & 1 << 9) >> 6) }
}
