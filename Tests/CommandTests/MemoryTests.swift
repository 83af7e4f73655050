import Foundation
import Testing

/// What a run takes of memory, and what is kept for the next one.
@Suite struct MemoryTests {
  private struct Metadata: Decodable {
    struct Run: Decodable {
      var peak_resident_bytes: Int?
      var streamed_bytes, blocks, skipped_blocks: Int?
      var plan: Plan
    }
    struct Plan: Decodable { var block_cache: Double? }
    var run: Run

    init(_ folder: String) throws {
      let data = try #require(FileManager.default.contents(atPath: "\(folder)/metadata.json"))
      self = try JSONDecoder().decode(Self.self, from: data)
    }
  }

  private func run(
    _ folder: String, _ name: String, _ options: [String] = [], cache: String
  ) throws -> (image: Data?, maps: Data?, run: Metadata.Run) {
    let outcome = try Command.start(
      ["generate", "a boat on the sea", "--steps", "3", "--concepts", "boat,sea", "--output", name] + options,
      in: folder,
      environment: ["XDG_CACHE_HOME": cache]
    ).finish()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let files = FileManager.default
    return (
      files.contents(atPath: "\(folder)/\(name)/image.png"),
      files.contents(atPath: "\(folder)/\(name)/maps.safetensors"),
      try Metadata("\(folder)/\(name)").run
    )
  }

  private func entries(_ cache: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: "\(cache)/concept-attention/phrases")) ?? []
  }

  @Test func phrasesAreKeptForOtherRunsAndOnlyWhereTheyMay() throws {
    try withFolder { folder in
      let cache = "\(folder)/cache"
      let plain = try run(folder, "plain", ["--no-cache"], cache: cache)
      #expect(!FileManager.default.fileExists(atPath: cache))
      for name in ["first", "second"] {
        let cached = try run(folder, name, cache: cache)
        #expect(cached.image != nil && cached.image == plain.image && cached.maps == plain.maps)
      }
      // T5 for the prompt, the empty one and two concepts; CLIP for the prompts.
      #expect(entries(cache).count == 6)
      // Another concept is one more.
      let other = try Command.start(
        ["generate", "a boat on the sea", "--steps", "1", "--concepts", "boat,sea,sky", "--output", "other"],
        in: folder,
        environment: ["XDG_CACHE_HOME": cache]
      ).finish()
      #expect(other.status == 0 && entries(cache).count == 7)
      // A relative path is none, and a file where the folder should be stops nothing.
      try Data().write(to: URL(fileURLWithPath: "\(folder)/file"))
      #expect(try run(folder, "blocked", cache: "\(folder)/file").image == plain.image)
    }
  }

  @Test func weightsThatAreGivenLittleMemoryAreReadAtEveryStep() throws {
    try withFolder { folder in
      let plain = try run(folder, "plain", cache: folder)
      let small = try run(folder, "small", ["--weight-memory", "2M"], cache: folder)
      #expect(small.image == plain.image && small.maps == plain.maps)
      #expect(plain.run.streamed_bytes == nil && (small.run.streamed_bytes ?? 0) > 3 * 5_000_000)
      for wrong in ["0", "-1", "8X", "lots", "1e300G"] {
        expectRefusal(
          try Command.run("generate", "a boat", "--weight-memory=\(wrong)", in: folder), "weight-memory")
      }
      let info = try Command.run("info", "--weight-memory", "2M", in: folder)
      #expect(info.status == 0 && info.output.contains("read from the disk at every step"), "\(info.output)")
    }
  }

  @Test func aBlockCacheSkipsWhatNobodyLooksAt() throws {
    try withFolder { folder in
      let steps = ["--steps", "24"]
      let plain = try run(folder, "plain", steps, cache: folder)
      let unwatched = try run(folder, "unwatched", steps + ["--block-cache", "0.3", "--timesteps", "0"], cache: folder)
      let watched = try run(folder, "watched", steps + ["--block-cache", "0.3"], cache: folder)
      #expect(plain.run.blocks == nil && plain.run.plan.block_cache == nil)
      #expect(abs((watched.run.plan.block_cache ?? 0) - 0.3) < 1e-6)
      #expect(unwatched.run.blocks == 24 * 2 * 8)
      // Blocks that are looked at run, and the picture is the same as if nobody looked.
      let (most, some) = (unwatched.run.skipped_blocks ?? 0, watched.run.skipped_blocks ?? 0)
      #expect(most > some && some > 0, "\(most) \(some)")
      #expect(watched.image == unwatched.image && watched.image != plain.image)
      expectRefusal(
        try Command.run("generate", "a boat", "--steps", "1", "--block-cache", "0.1", in: folder), "block cache")
      expectRefusal(try Command.run("generate", "a boat", "--block-cache", "2", in: folder), "threshold 2")
      // Where concepts travel to the last block in every pass there is nothing to skip.
      expectRefusal(
        try Command.run(
          "generate", "a boat", "--model", "tiny-sd3", "--guidance", "1", "--block-cache", "0.1", in: folder),
        "looks at the last block")
    }
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func whatInfoPredictsIsWhatARunTakes(model: String) throws {
    try withFolder { folder in
      let info = try Command.run("info", "--model", model, in: folder)
      let words = info.output.split(separator: "\n").first { $0.hasPrefix("At most ") }?.split(separator: " ") ?? []
      let predicted = try #require(words.count > 3 ? Double(words[2]) : nil) * (words[3] == "GB" ? 1e9 : 1e6)
      let taken = try run(folder, "run", ["--model", model], cache: folder).run.peak_resident_bytes
      let ratio = try predicted / Double(#require(taken))
      // Libraries and the number of threads differ from machine to machine, which in a model this small is much of it.
      #expect((0.75...1.3).contains(ratio), "\(predicted) of \(taken ?? 0)")
    }
  }
}
