import EmbeddedModels
import Formats
import Foundation
import Models
import Tensor
import Testing

/// What the commands do, as a user sees it.
@Suite struct RunTests {
  private struct Metadata: Decodable {
    struct Run: Decodable {
      var arguments, concepts: [String]
      var plan: Plan
      var seed: Int
      var seconds: [String: Double]
      var peak_tensor_bytes: Int
      var maps: Maps
    }
    struct Plan: Decodable {
      var width, height, frames: Int
      var samples: Int?
      var noise_levels: [Double]
    }
    struct Maps: Decodable {
      var layers: [Int]
      var timesteps: [Int]?
      var blurs: Bool
    }
    var run: Run
    var maps: [String]

    init(_ folder: String) throws {
      let data = try #require(FileManager.default.contents(atPath: "\(folder)/metadata.json"))
      self = try JSONDecoder().decode(Self.self, from: data)
    }
  }

  @Test func aPictureOfSeveralIsThatOfItsSeedAlone() throws {
    try withFolder { folder in
      let settings = ["generate", "a red star on grass", "--steps", "2", "--width", "64", "--height", "96"]
      let several = try Command.start(settings + ["--images", "2", "--seed", "5", "--output", "several"], in: folder)
      #expect(try several.finish().status == 0)
      let alone = try Command.start(settings + ["--seed", "6", "--output", "alone"], in: folder).finish()
      #expect(alone.status == 0 && alone.errors.isEmpty)
      #expect(
        alone.output.split(separator: "\n").allSatisfy { FileManager.default.fileExists(atPath: "\(folder)/\($0)") })
      for name in ["image.png", "maps.npz", "heatmap-star.png"] {
        let files = ["several/seed-6", "alone"].map { FileManager.default.contents(atPath: "\(folder)/\($0)/\(name)") }
        #expect(files[0] != nil && files[0] == files[1], "\(name)")
      }
      let run = try Metadata("\(folder)/several/seed-6").run
      #expect(run.seed == 6 && run.plan.width == 64 && run.plan.height == 96 && run.plan.frames == 1)
      #expect(run.plan.noise_levels == [1, 0.5] && run.concepts == ["star", "grass"])
      #expect(Set(run.seconds.keys) == ["opening", "concepts", "encoding", "transformer", "decoding", "total"])
    }
  }

  @Test func aSavedRunHoldsItsLatentsMapsConceptsAndSites() throws {
    try withFolder { folder in
      let outcome = try Command.run(
        "generate", "a star", "--concepts", "star,sky", "--steps", "3", "--layers", "1", "--timesteps", "1-2",
        "--save-tensors", "t.safetensors", "--save-site", "double.0.image.query", "--true-cfg", "2", "--json",
        in: folder)
      #expect(outcome.status == 0)
      #expect(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) is [String: Any])
      let file = try SafetensorsFile(path: "\(folder)/t.safetensors")
      let activations = [1, 2].flatMap { step in
        ["double.1.concepts.attentionOutput@\(step).conditional"]
          + ["conditional", "unconditional"].map { "double.0.image.query@\(step).\($0)" }
      }
      let maps = ["maps.average", "maps.layer.1", "maps.step.1", "maps.step.2"]
      #expect(Set(file.names) == Set(["latents.0", "latents.1", "latents.2", "concepts"] + maps + activations))
      #expect(try file.tensor("maps.average").shape == [1, 2, 1, 16, 16])
      #expect(file.metadata["concepts"] == #"["star","sky"]"#)
    }
  }

  @Test func aPictureIsLookedAtAtTheLevelsOfChosenSteps() throws {
    try withFolder { folder in
      let scene = "\(try EmbeddedModel.tinyFlux.scenes)/000.png"
      let settings = ["segment", scene, "--concepts", "star,grass", "--width", "96", "--height", "64"]
      func run(_ arguments: String...) throws -> Metadata {
        let outcome = try Command.start(settings + arguments, in: folder).finish()
        #expect(outcome.status == 0, "\(outcome.errors)")
        return try Metadata("\(folder)/concept-attention-output")
      }
      let levels = try run("--steps", "4", "--timesteps", "1,3", "--samples", "2")
      #expect(levels.run.plan.noise_levels == [0.75, 0.25] && levels.run.plan.samples == 2)
      #expect(levels.run.plan.width == 96 && levels.run.plan.height == 64)
      #expect(levels.maps.filter { $0.hasPrefix("step") } == ["step.1", "step.3"])
      let paper = try run("--preset", "paper", "--layers", "0-1", "--noise", "0.25").run
      #expect(paper.plan.samples == 5 && paper.plan.noise_levels == [0.25])
      #expect(paper.maps.layers == [0, 1] && paper.maps.blurs)
    }
  }

  @Test func aLoRAOfStrengthZeroChangesNothingAndOneOfStrengthOneDoes() throws {
    try withFolder { folder in
      try SafetensorsFile.write(
        ["proj_out.lora_A.weight": Tensor(full: [1, 128], 0.1), "proj_out.lora_B.weight": Tensor(ones: [64, 1])],
        to: "\(folder)/l.safetensors")
      func picture(_ arguments: String...) throws -> Data? {
        let outcome = try Command.start(["generate", "a star", "--steps", "1"] + arguments, in: folder).finish()
        #expect(outcome.status == 0, "\(outcome.errors)")
        return FileManager.default.contents(atPath: "\(folder)/concept-attention-output/image.png")
      }
      let plain = try picture()
      #expect(try plain != nil && picture("--lora", "l.safetensors:0") == plain)
      #expect(try picture("--lora", "l.safetensors") != plain)
      #expect(try picture("--dtype", "f32") != nil)
    }
  }

  @Test func infoTellsOfEveryPartAndOfTheMemoryARunTakes() throws {
    try withFolder { folder in
      let info = try Command.run("info", "--width", "256", "--height", "192", in: folder)
      #expect(info.status == 0 && info.errors.isEmpty)
      for part in ["text_encoder ", "text_encoder_2 ", "transformer ", "vae ", "FluxPipeline", "256 × 192", "bf16"] {
        #expect(info.output.contains(part), "\(part)")
      }
      expectRefusal(try Command.run("info", "--width", "7", in: folder), "size 7")

      for (width, height) in [(64, 96), (256, 192)] {
        var request = GenerationRequest("")
        (request.width, request.height) = (width, height)
        let pipeline = try openPipeline("tiny-flux")
        let expected = try pipeline.activationEstimate(pipeline.plan(request)).peak
        let settings = ["--steps", "1", "--width", "\(width)", "--height", "\(height)"]
        #expect(try Command.start(["generate", "a star"] + settings, in: folder).finish().status == 0)
        let found = try Metadata("\(folder)/concept-attention-output").run.peak_tensor_bytes
        #expect(
          Double(found) > 0.7 * Double(expected) && Double(found) < 1.4 * Double(expected), "\(found), \(expected)")
      }
    }
  }

  /// The folder appears before the first step, so an interruption after that is one of a run.
  @Test func ctrlCLeavesNothingHalfWritten() throws {
    try withFolder { folder in
      let running = try Command.start(["generate", "a star", "--steps", "1000", "--output", "out"], in: folder)
      while running.process.isRunning, !FileManager.default.fileExists(atPath: "\(folder)/out") { usleep(1000) }
      running.process.interrupt()
      let outcome = try running.finish()
      #expect(outcome.status == 130 && outcome.output.isEmpty && outcome.errors.contains("interrupted"))
      #expect(try contents(folder).isEmpty)
    }
  }

  @Test func aFailedRunLeavesWhatWasThere() throws {
    try withFolder { folder in
      #expect(try Command.run("generate", "a star", "--steps", "1", "--output", "out", in: folder).status == 0)
      let before = try contents(folder)
      let running = try Command.start(["generate", "a house", "--steps", "1000", "--output", "out"], in: folder)
      try running.waitUntilItCatchesInterrupts()
      running.process.interrupt()
      #expect(try running.finish().status == 130)
      expectRefusal(try Command.run("generate", "a house", "--steps", "0", "--output", "out", in: folder), "0 steps")
      #expect(try contents(folder) == before)
    }
  }

  @Test func helpTeachesEveryCommand() throws {
    try withFolder { folder in
      for command in [[], ["generate"], ["segment"], ["evaluate"], ["info"], ["sites"]] {
        let help = try Command.start(command + ["--help"], in: folder).finish()
        #expect(help.status == 0 && help.output.contains("concept-attention"))
        #expect(help.output.contains("EXAMPLE") || command.isEmpty)
      }
      #expect(try Command.run("--version", in: folder).output == "0.1.0\n")
    }
  }
}
