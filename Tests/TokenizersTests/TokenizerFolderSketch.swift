import Foundation
import Tokenizers

/// A tokenizer folder that a test writes: small vocabularies of its own, or damaged files.
final class TokenizerFolderSketch {
  let url: URL
  var path: String { url.path }

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func write(_ name: String, _ bytes: some Sequence<UInt8>) throws {
    try Data(bytes).write(to: url.appendingPathComponent(name))
  }

  func write(_ name: String, _ text: String) throws { try write(name, text.utf8) }

  func write(_ name: String, json: Any) throws {
    try write(name, try JSONSerialization.data(withJSONObject: json))
  }

  func load() throws -> any Tokenizer { try loadTokenizer(folder: path) }

  /// A byte-level vocabulary: all bytes, all bytes at the end of a word, the merged pieces, the two special tokens.
  func writeBytePairs(merges: [(String, String)], config: [String: Any] = [:]) throws {
    var ids: [String: Int] = [:]
    for byte in 0x21...0x7E { ids[String(UnicodeScalar(UInt8(byte)))] = ids.count }
    for byte in 0x21...0x7E { ids[String(UnicodeScalar(UInt8(byte))) + "</w>"] = ids.count }
    for (left, right) in merges where ids[left + right] == nil { ids[left + right] = ids.count }
    ids["<|startoftext|>"] = ids.count
    ids["<|endoftext|>"] = ids.count
    try write("vocab.json", json: ids)
    try write("merges.txt", "#version: 0.2\n" + merges.map { "\($0) \($1)\n" }.joined())
    try write("tokenizer_config.json", json: config)
  }

  /// A unigram vocabulary after the three special pieces.
  func writeUnigram(_ pieces: [(String, Double)], config: [String: Any] = [:], normalizer: Any? = nil) throws {
    let special: [[Any]] = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    let vocabulary = special + pieces.map { [$0.0, $0.1] }
    try write(
      "tokenizer.json",
      json: [
        "normalizer": normalizer ?? NSNull(), "added_tokens": [Any](),
        "model": ["type": "Unigram", "unk_id": 2, "vocab": vocabulary] as [String: Any],
      ] as [String: Any])
    try write("tokenizer_config.json", json: config.merging(["extra_ids": 0]) { given, _ in given })
  }
}

/// A generator with a seed, so that random tests repeat.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
