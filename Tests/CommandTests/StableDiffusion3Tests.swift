import EmbeddedModels
import Foundation
import Models
import Testing

/// Every command by the folder of a model of another family alone.
@Suite struct StableDiffusion3Tests {
  private let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/pipelines/sd35/pipeline").path

  private func run(_ arguments: String..., in folder: String) throws -> Command.Outcome {
    try Command.start(arguments + ["--model", model], in: folder).finish()
  }

  @Test func infoSitesGenerateAndSegmentKnowItByItsFolder() throws {
    try withFolder { folder in
      let info = try run("info", in: folder)
      #expect(info.status == 0 && info.output.contains("StableDiffusion3Pipeline"), "\(info.errors)")
      for part in ["text_encoder", "text_encoder_2", "text_encoder_3", "transformer", "vae"] {
        #expect(info.output.split(separator: "\n").contains { $0.split(separator: " ").first == part[...] }, "\(part)")
      }
      #expect(try !run("info", "--without-t5", in: folder).output.contains("text_encoder_3"))
      #expect(try run("sites", "joint.0.image", in: folder).output.contains("joint.0.image.dualAttentionOutput\n"))

      let generated = try run(
        "generate", "a boat on a lake", "--steps", "3", "--skip-layers", "1", "--skip-layers-range", "0-1", in: folder)
      #expect(generated.status == 0, "\(generated.errors)")
      let output = "\(folder)/concept-attention-output"
      let metadata = try String(contentsOfFile: "\(output)/metadata.json", encoding: .utf8)
      for line in ["\"scale\" : 7", "\"family\" : \"StableDiffusion3Pipeline\"", "\"width\" : 128"] {
        #expect(metadata.contains(line), "\(line)")
      }
      let segmented = try run("segment", "\(output)/image.png", "--concepts", "boat,lake", in: folder)
      #expect(segmented.status == 0, "\(segmented.errors)")
    }
  }

  @Test func aRunCanStartFromAPictureDoWithoutT5AndFollowTheAuthors() throws {
    try withFolder { folder in
      let scene = "\(try EmbeddedModel.tinyFlux.scenes)/000.png"
      func picture(_ arguments: String...) throws -> Data? {
        let outcome = try Command.start(
          ["generate", "a boat on a lake", "--steps", "2", "--model", model] + arguments, in: folder
        ).finish()
        #expect(outcome.status == 0, "\(outcome.errors)")
        return FileManager.default.contents(atPath: "\(folder)/concept-attention-output/image.png")
      }
      let plain = try picture()
      let changes = try [
        picture("--image", scene), picture("--image", scene, "--strength", "1"), picture("--without-t5"),
        picture("--clip-skip", "1"),
      ]
      for (index, changed) in changes.enumerated() { #expect(changed != nil && changed != plain, "change \(index)") }
      #expect(try picture("--preset", "authors-sd3") == plain, "looking in another way changes the picture")
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    try withFolder { folder in
      expectRefusal(
        try run("generate", "a boat", "--skip-layers", "1", "--guidance", "1", in: folder), "skip-layer", "above 1")
      expectRefusal(try run("generate", "a boat", "--skip-layers", "9", in: folder), "[9]", "0 to 2")
      expectRefusal(
        try run("generate", "a boat", "--skip-layers", "1", "--skip-layers-range", "0.2", in: folder), "0.2", "shares")
      expectRefusal(try run("generate", "a boat", "--clip-skip", "5", in: folder), "clip skip 5")
      expectRefusal(
        try run("generate", "a boat", "--guidance", "2", "--true-cfg", "3", in: folder), "two scales")
      expectRefusal(try run("generate", "a boat", "--image", "absent.png", in: folder), "absent.png")
      expectRefusal(try run("generate", "a boat", "--layers", "3", in: folder), "no layer 3", "0 to 2")
      for arguments in [["--strength", "0.5"], ["--skip-layers-scale", "2"], ["--without-t5", "--t5", "a.gguf"]] {
        let outcome = try Command.start(["generate", "a boat", "--model", model] + arguments, in: folder).finish()
        expectRefusal(outcome, arguments[0])
      }
      try FileManager.default.createDirectory(atPath: "\(folder)/model", withIntermediateDirectories: true)
      for entry in try FileManager.default.contentsOfDirectory(atPath: model) where entry != "text_encoder_2" {
        try FileManager.default.createSymbolicLink(
          atPath: "\(folder)/model/\(entry)", withDestinationPath: "\(model)/\(entry)")
      }
      let outcome = try Command.run("generate", "a boat", "--model", "model", in: folder)
      expectRefusal(outcome, "'text_encoder_2' is missing")
    }
  }
}
