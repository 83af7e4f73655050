import EmbeddedModels
import Foundation
import Models
import NN
import Tensor
import Testing

/// Weights that are given less memory than they need.
@Suite struct WeightMemoryTests {
  private func pipeline(_ model: String, limit: Int?) throws -> any DiffusionPipeline {
    var options = CheckpointOptions()
    options.weightMemory = limit
    return try openPipeline(model, options)
  }

  private func plan(_ pipeline: any DiffusionPipeline) throws -> GenerationPlan {
    var request = GenerationRequest("a boat on the sea")
    (request.steps, request.frames) = (2, pipeline.settings.size.frames == 1 ? nil : 5)
    return try pipeline.plan(request)
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func streamedWeightsGiveTheSameBits(model: String) throws {
    let whole = try pipeline(model, limit: nil), expected = try whole.generate(plan(whole)).frames
    #expect(whole.weightMemory.streamedBytes == 0)
    for limit in [1, 4 << 20] {
      let streamed = try pipeline(model, limit: limit), share = streamed.weightMemory.share(beside: 0)
      #expect(try streamed.generate(plan(streamed)).frames.isIdentical(to: expected))
      // Twice, for it begins anew each time.
      #expect(try streamed.generate(plan(streamed)).frames.isIdentical(to: expected))
      #expect(share.streamed > 0)
      #expect(streamed.weightMemory.streamedBytes >= 4 * share.streamed)
    }
    let ample = try pipeline(model, limit: 1 << 40)
    #expect(ample.weightMemory.share(beside: 0).streamed == 0)
    #expect(try ample.generate(plan(ample)).frames.isIdentical(to: expected))
    #expect(ample.weightMemory.streamedBytes == 0)
  }

  @Test func moreMemoryStreamsLess() throws {
    var last = Int.max
    for limit in stride(from: 0, through: 9 << 20, by: 1 << 20) {
      let share = try pipeline("tiny-flux", limit: max(1, limit)).weightMemory.share(beside: 0)
      #expect(share.streamed <= last)
      #expect(share.resident + share.streamed > 5 << 20)
      // The window is the least there must be.
      #expect(share.streamed == 0 || share.resident <= max(0, limit - share.window) + share.window / 2)
      last = share.streamed
    }
    #expect(last == 0)
  }

  /// The pages of files in memory for this process, as the kernel counts them.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/smaps")))
  func blocksThatDoNotFitLeaveTheMemory() throws {
    // Other tests map the embedded one.
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent("streamed-\(UUID())").path
    try FileManager.default.copyItem(atPath: try EmbeddedModel.tinyFlux.folder, toPath: copy)
    defer { try? FileManager.default.removeItem(atPath: copy) }
    let streamed = try pipeline(copy, limit: 1), plan = try plan(streamed)
    let path = "\(copy)/transformer/diffusion_pytorch_model.safetensors"
    var most = 0
    _ = try streamed.generate(plan, processors: []) { _ in most = max(most, try residentBytes(of: path)) }
    #expect(most < 4 << 20, "of 8.4 MB, between two steps")
    let whole = try pipeline(copy, limit: nil)
    _ = try whole.generate(plan, processors: []) { _ in most = try residentBytes(of: path) }
    #expect(most > 7 << 20)
  }

  @Test func cancelledRunsDoNotHang() async throws {
    let streamed = try pipeline("tiny-flux", limit: 1), plan = try plan(streamed)
    let task = Task { try streamed.generate(plan) }
    task.cancel()
    await #expect(throws: CancellationError.self) { _ = try await task.value }
    _ = try streamed.generate(plan)
  }
}

private func residentBytes(of path: String) throws -> Int {
  let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
  var isMeant = false, bytes = 0
  let maps = try #require(try FileHandle(forReadingAtPath: "/proc/self/smaps")?.readToEnd())
  for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
    if line.contains("-"), line.first?.isHexDigit == true { isMeant = line.hasSuffix(resolved) }
    if isMeant, line.hasPrefix("Rss:") { bytes += (Int(line.split(separator: " ")[1]) ?? 0) << 10 }
  }
  return bytes
}
