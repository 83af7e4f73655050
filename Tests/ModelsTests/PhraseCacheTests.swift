import EmbeddedModels
import Foundation
import Models
import Tensor
import Testing

/// What text encoders have made of phrases, on disk.
@Suite struct PhraseCacheTests {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("phrases-\(UUID())").path
  private let files = FileManager.default

  private func pipeline(_ model: String, cached: Bool = true, files: [String: String] = [:]) throws
    -> any DiffusionPipeline
  {
    var options = CheckpointOptions(files: files)
    options.phraseCache = cached ? PhraseCache(folder: folder) : nil
    return try openPipeline(model, options)
  }

  private var entries: [String] {
    ((try? files.contentsOfDirectory(atPath: folder)) ?? []).sorted().map { "\(folder)/\($0)" }
  }

  private func passes(_ pipeline: any DiffusionPipeline) -> Int {
    switch pipeline {
    case let flux as FluxPipeline: flux.t5.passes + flux.clip.passes
    case let sd3 as StableDiffusion3Pipeline:
      sd3.text.clipL.passes + sd3.text.clipG.passes + (sd3.text.t5?.passes ?? 0)
    case let video as CogVideoXPipeline: video.t5.passes
    default: -1
    }
  }

  private func plan(_ pipeline: any DiffusionPipeline, _ prompt: String = "a boat on the sea") throws -> GenerationPlan
  {
    var request = GenerationRequest(prompt)
    (request.steps, request.frames) = (1, pipeline.settings.size.frames == 1 ? nil : 5)
    return try pipeline.plan(request)
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func aSeenPhraseNeedsNoEncoderAndHasTheSameBits(model: String) throws {
    defer { try? files.removeItem(atPath: folder) }
    let phrases = ["boat", "sea", "sky"]
    let plain = try pipeline(model, cached: false), first = try pipeline(model), second = try pipeline(model)
    let expected = try plain.encodePhrases(phrases)
    let picture = try plain.generate(plan(plain)).frames
    for cached in [first, second] {
      #expect(try cached.generate(plan(cached)).frames.isIdentical(to: picture))
      for (a, b) in zip(try cached.encodePhrases(phrases), expected) {
        #expect(a.states.isIdentical(to: b.states) && a.spans == b.spans && a.hasUnknown == b.hasUnknown)
      }
    }
    #expect(passes(first) > 0)
    #expect(passes(second) == 0)
    #expect(!entries.isEmpty && entries.allSatisfy { $0.hasSuffix(".safetensors") })
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func promptAndConceptsGoThroughEachEncoderTogether(model: String) throws {
    let together = try pipeline(model, cached: false), plan = try plan(together)
    try together.expect(plan, phrases: ["boat", "sea"])
    let phrases = try together.encodePhrases(["boat", "sea"], maxSequenceLength: plan.maxSequenceLength)
    let frames = try together.generate(plan).frames
    // One pass of each encoder; FLUX's CLIP reads the prompt alone.
    #expect(passes(together) == (model == "tiny-flux" ? 2 : model == "tiny-sd3" ? 3 : 1))
    let apart = try pipeline(model, cached: false)
    #expect(try apart.generate(plan).frames.isIdentical(to: frames))
    for (a, b) in zip(phrases, try apart.encodePhrases(["boat", "sea"], maxSequenceLength: plan.maxSequenceLength)) {
      #expect(a.states.isIdentical(to: b.states))
    }
  }

  @Test func damagedEntriesAreWrittenAnew() throws {
    defer { try? files.removeItem(atPath: folder) }
    let expected = try pipeline("tiny-flux").encodePhrases(["boat"])[0]
    let entry = try #require(entries.first), whole = try Data(contentsOf: URL(fileURLWithPath: entry))
    var flipped = whole
    flipped[20] ^= 0xFF
    for damaged in [Data(), whole.prefix(100), whole.dropLast(), flipped, Data("nonsense".utf8)] {
      try damaged.write(to: URL(fileURLWithPath: entry))
      let again = try pipeline("tiny-flux")
      #expect(try again.encodePhrases(["boat"])[0].states.isIdentical(to: expected.states))
      #expect(passes(again) == 1)
      #expect(try Data(contentsOf: URL(fileURLWithPath: entry)) == whole)
    }
    // An entry of another phrase in its place is none.
    _ = try pipeline("tiny-flux").encodePhrases(["sea"])
    let other = try #require(entries.first { $0 != entry })
    try files.removeItem(atPath: entry)
    try files.copyItem(atPath: other, toPath: entry)
    let again = try pipeline("tiny-flux")
    #expect(try again.encodePhrases(["boat"])[0].states.isIdentical(to: expected.states) && passes(again) == 1)
  }

  @Test func anotherEncoderHasEntriesOfItsOwn() throws {
    defer { try? files.removeItem(atPath: folder) }
    let original = "\(try EmbeddedModel.tinyFlux.folder)/text_encoder_2/model.safetensors"
    let copy = files.temporaryDirectory.appendingPathComponent("t5-\(UUID()).safetensors").path
    try files.copyItem(atPath: original, toPath: copy)
    defer { try? files.removeItem(atPath: copy) }
    let plain = try pipeline("tiny-flux").encodePhrases(["boat"])[0]
    let same = try pipeline("tiny-flux", files: ["text_encoder_2": copy])
    #expect(try same.encodePhrases(["boat"])[0].states.isIdentical(to: plain.states))
    #expect(passes(same) == 0, "a copy is the same encoder")
    // One weight more or less, in place and with the times it had.
    let times = try files.attributesOfItem(atPath: copy)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: copy))
    bytes[bytes.count - 1] ^= 0x01
    try bytes.write(to: URL(fileURLWithPath: copy))
    try files.setAttributes([.modificationDate: times[.modificationDate] as Any], ofItemAtPath: copy)
    let changed = try pipeline("tiny-flux", files: ["text_encoder_2": copy])
    _ = try changed.encodePhrases(["boat"])
    #expect(passes(changed) == 1)
    // So is another length, and another type.
    let longer = try pipeline("tiny-flux")
    _ = try longer.encodePhrases(["boat"], maxSequenceLength: 40)
    #expect(passes(longer) == 1)
    var options = CheckpointOptions(weightType: .f32)
    options.phraseCache = PhraseCache(folder: folder)
    let widened = try openPipeline("tiny-flux", options)
    _ = try widened.encodePhrases(["boat"])
    #expect(passes(widened) == 1)
  }

  @Test func theFolderStaysWithinItsBounds() throws {
    defer { try? files.removeItem(atPath: folder) }
    _ = try pipeline("tiny-flux").encodePhrases(["boat"])
    let size = try #require(files.attributesOfItem(atPath: entries[0])[.size] as? Int)
    var options = CheckpointOptions()
    options.phraseCache = PhraseCache(folder: folder, capacity: size * 4)
    let bounded = try openPipeline("tiny-flux", options)
    for index in 0..<12 {
      _ = try bounded.encodePhrases(["a boat", "\(index)"])
      // In use all the time: it stays.
      _ = try pipeline("tiny-flux").encodePhrases(["boat"])
    }
    #expect(entries.count <= 4)
    let last = try pipeline("tiny-flux")
    _ = try last.encodePhrases(["boat"])
    #expect(passes(last) == 0)
  }

  @Test func severalAtOnceDoNotDisturbEachOther() async throws {
    defer { try? files.removeItem(atPath: folder) }
    let expected = try pipeline("tiny-flux", cached: false).encodePhrases(["boat", "sea", "sky"])
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<6 {
        group.addTask {
          let found = try pipeline("tiny-flux").encodePhrases(["boat", "sea", "sky"])
          return zip(found, expected).allSatisfy { $0.states.isIdentical(to: $1.states) }
        }
      }
      for try await isSame in group { #expect(isSame) }
    }
    #expect(entries.count == 3)
  }

  @Test func aFolderThatCannotBeWrittenCostsNothing() throws {
    var options = CheckpointOptions()
    options.phraseCache = PhraseCache(folder: "/proc/no-such-folder")
    let pipeline = try openPipeline("tiny-flux", options)
    #expect(try pipeline.encodePhrases(["boat"]).count == 1)
  }
}
