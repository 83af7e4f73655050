import Formats
import Foundation
import Tensor
import TestSupport
import Testing
import Tokenizers

/// Prompts and the ids that transformers gives them.
struct TokenizerCase {
  let folder: URL
  let config: JSON

  init(folder: URL) throws {
    self.folder = folder
    let text = try Data(contentsOf: folder.appendingPathComponent("case.json"))
    config = try JSONDecoder().decode(JSON.self, from: text).config
  }

  /// Expects all ids and masks of the case, with padding and truncation and without either.
  func check() throws {
    let vocabulary = try #require(config.vocab.string)
    let tokenizer = try loadTokenizer(folder: folder.appendingPathComponent(vocabulary).standardized.path)
    let file = try SafetensorsFile(path: folder.appendingPathComponent("io.safetensors").path)
    func integers(_ name: String) throws -> [Int] {
      try file.tensor("out.\(name)").converted(to: .f64).scalars(as: Double.self).map { Int($0) }
    }
    let (ids, mask) = (try integers("input_ids"), try integers("attention_mask"))
    let (lengths, whole) = (try integers("untruncated_lengths"), try integers("untruncated_ids_concatenated"))
    let length = try #require(config.max_length.int)
    let prompts = config.prompts.strings
    try #require(!prompts.isEmpty && prompts.count == lengths.count && ids.count == prompts.count * length)
    var start = 0
    for (index, prompt) in prompts.enumerated() {
      let range = index * length..<(index + 1) * length
      let padded = try tokenizer.encode(prompt, maxLength: length)
      #expect(padded.ids.map { Int($0) } == Array(ids[range]), "prompt \(index): \(prompt.debugDescription)")
      #expect(padded.attentionMask.map { Int($0) } == Array(mask[range]), "prompt \(index): \(prompt.debugDescription)")
      let full = try tokenizer.encode(prompt)
      #expect(
        full.ids.map { Int($0) } == Array(whole[start..<start + lengths[index]]),
        "prompt \(index): \(prompt.debugDescription)")
      start += lengths[index]
    }
    #expect(start == whole.count)
  }
}

/// The published vocabularies, which are not part of this repository: checked where the fixtures lie beside the
/// checkout, skipped by name elsewhere.
@Suite struct PublishedTokenizerTests {
  private static func folder(_ name: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../shared/fixtures")
      .appendingPathComponent("tokenizer_cases").appendingPathComponent(name).standardized
  }

  private static func isPresent(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: folder(name).appendingPathComponent("case.json").path)
  }

  @Test(.enabled(if: isPresent("clip"), "case clip needs the published CLIP vocabulary")) func clip() throws {
    try TokenizerCase(folder: Self.folder("clip")).check()
  }

  @Test(.enabled(if: isPresent("t5-256"), "case t5-256 needs the published T5 vocabulary")) func t5At256() throws {
    try TokenizerCase(folder: Self.folder("t5-256")).check()
  }

  @Test(.enabled(if: isPresent("t5-512"), "case t5-512 needs the published T5 vocabulary")) func t5At512() throws {
    try TokenizerCase(folder: Self.folder("t5-512")).check()
  }
}
