import Formats
import Foundation
import Tensor
import TestSupport
import Testing

/// Every command by the folder of a model of videos alone.
@Suite struct CogVideoXTests {
  private static let pipelines = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/pipelines").path
  private let model = "\(pipelines)/cogvideox-2b-ddim/pipeline"

  private func run(
    _ arguments: [String], in folder: String, environment: [String: String] = [:]
  ) throws -> Command.Outcome {
    try Command.start(arguments + ["--model", model], in: folder, environment: environment).finish()
  }

  /// `ffmpeg` that keeps what it is given, or gives two frames of 32 × 16 pixels, grey and white.
  private func makeProgram(in folder: String) throws -> [String: String] {
    let program = "\(folder)/bin/ffmpeg"
    try FileManager.default.createDirectory(atPath: "\(folder)/bin", withIntermediateDirectories: true)
    let text = """
      #!/bin/sh
      case "$*" in
        *broken*) echo "no such codec" >&2; exit 1 ;;
        *image2pipe*) for level in 200 377; do
            printf 'P6\\n32 16\\n255\\n'; head -c 1536 /dev/zero | tr '\\0' "\\\\$level"
          done ;;
        *) for last; do :; done; cat > "${last#file:}" ;;
      esac
      """
    try writeProgram(text, to: program)
    return ["PATH": "\(folder)/bin:/usr/bin:/bin"]
  }

  /// Four frames of video are one of latents, and so are three and two.
  @Test(arguments: 2...8) func aVideoOfAnyLengthIsLookedAt(_ count: Int) throws {
    try withFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/clip", withIntermediateDirectories: true)
      for index in 0..<count {
        try PNG.write(
          Tensor(full: [16, 16, 3], Float(index * 20)).converted(to: .u8), to: "\(folder)/clip/\(index).png")
      }
      let outcome = try run(["segment", "clip", "--concepts", "boat,sea", "--output", "o"], in: folder)
      #expect(outcome.status == 0, "\(count) frames: \(outcome.errors)")
      let frames = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/o/frames")
      #expect(frames.count == count, "\(frames)")
    }
  }

  @Test func infoSitesGenerateAndSegmentKnowItByItsFolder() throws {
    try withFolder { folder in
      let info = try run(["info"], in: folder)
      #expect(info.status == 0 && info.output.contains("9 frames of 48 × 32"), "\(info.output) \(info.errors)")
      #expect(try run(["sites", "joint.1.image"], in: folder).output.contains("joint.1.image.attentionOutput\n"))

      let alone = ["PATH": "/nonexistent"]
      let generated = try run(
        ["generate", "a boat on a lake", "--steps", "2", "--frames", "5", "--dynamic-guidance"], in: folder,
        environment: alone)
      #expect(generated.status == 0, "\(generated.errors)")
      let output = "\(folder)/concept-attention-output"
      let files = try Set(contents(output).keys)
      #expect(files.isSuperset(of: ["frames/0000.png", "video.gif", "overlay-boat.gif", "contact-sheet.png"]))
      #expect(!files.contains { $0.hasSuffix(".mp4") })
      // Two frames of latents become eight of video.
      #expect(try GIF.read(path: "\(output)/overlay-lake.gif").frames.shape == [8, 32, 48, 3])
      let maps = try SafetensorsFile(path: "\(output)/maps.safetensors").tensor("average")
      #expect(maps.shape == [2, 2, 2, 3])
      let frame = try Image.read(path: "\(output)/frames/0003.png")
      #expect(frame.shape == [32, 48, 3])

      for (source, shape) in [("video.gif", [2, 2, 2, 3]), ("frames", [2, 2, 2, 3]), ("frames/0001.png", [2, 2, 3])] {
        let looked = try run(
          ["segment", "\(output)/\(source)", "--concepts", "boat,lake", "--output", "looked"], in: folder)
        #expect(looked.status == 0, "\(looked.errors)")
        let maps = try SafetensorsFile(path: "\(folder)/looked/maps.safetensors").tensor("average")
        #expect(maps.shape == shape, "\(source)")
      }
      let preset = try run(
        ["generate", "a boat on a lake", "--steps", "1", "--frames", "5", "--preset", "authors-cogvideox"], in: folder)
      #expect(preset.status == 0, "\(preset.errors)")
      let padded = try SafetensorsFile(path: "\(output)/maps.safetensors").tensor("average")
      #expect(padded.shape == [2, 2, 2, 3] && padded.sum(0).amax().item < 0.9, "the padding has its share")
      expectRefusal(
        try run(
          ["generate", "a boat on a lake", "--preset", "authors-cogvideox", "--normalization", "softmaxOfMean"],
          in: folder),
        "padding", "softmaxOfMean")
      let mean = try run(
        ["segment", "\(output)/frames", "--every", "2", "--mean-over-frames", "--concepts", "boat,lake"], in: folder)
      #expect(mean.status == 0, "\(mean.errors)")
      #expect(try SafetensorsFile(path: "\(output)/maps.safetensors").tensor("average").shape == [2, 2, 3])
      #expect(try GIF.read(path: "\(output)/video.gif").frames.shape[0] == 4)
    }
  }

  @Test func conceptsDoNotChangeTheVideo() throws {
    try withFolder { folder in
      func frames(_ concepts: String) throws -> [Data] {
        let outcome = try run(
          ["generate", "a boat", "--steps", "2", "--concepts", concepts, "--output", concepts], in: folder)
        #expect(outcome.status == 0, "\(outcome.errors)")
        return try contents("\(folder)/\(concepts)/frames").sorted { $0.key < $1.key }.map(\.value)
      }
      let first = try frames("boat")
      #expect(first.count == 9)
      #expect(try frames("sea,sky,boat") == first)
    }
  }

  /// Killed outright in the middle, as by a power cut.
  @Test(arguments: [
    ("2b-ddim", []), ("2b-ddim", ["--guidance", "1"]), ("5b-dpm", []), ("5b-dpm", ["--guidance", "1"]),
    ("5b-i2v", ["--image", "picture.png"]),
  ])
  func aKilledRunGoesOnToTheSameBits(name: String, arguments: [String]) throws {
    try withFolder { folder in
      let model = "\(Self.pipelines)/cogvideox-\(name)/pipeline"
      try Self.writePicture(to: "\(folder)/picture.png")
      let command =
        ["generate", "a boat", "--concepts", "boat,sea", "--steps", "40", "--model", model, "--save-every", "0"]
        + arguments
      let whole = try Command.start(command + ["--output", "whole"], in: folder).finish()
      #expect(whole.status == 0, "\(whole.errors)")
      let running = try Command.start(command + ["--output", "cut"], in: folder)
      while running.process.isRunning, !FileManager.default.fileExists(atPath: "\(folder)/cut/resume.safetensors") {
        usleep(500)
      }
      kill(running.process.processIdentifier, SIGKILL)
      #expect(try running.finish().status == -SIGKILL)
      #expect(try contents("\(folder)/cut").keys.contains("resume.safetensors"))

      expectRefusal(
        try Command.start(command + ["--output", "cut", "--resume", "--seed", "4"], in: folder).finish(), "another run")
      let resumed = try Command.start(command + ["--output", "cut", "--resume"], in: folder).finish()
      #expect(resumed.status == 0, "\(resumed.errors)")
      let expected = try contents("\(folder)/whole"), found = try contents("\(folder)/cut")
      #expect(Set(found.keys) == Set(expected.keys))
      // Those two tell the command, which is another, and the time it took.
      for (name, data) in expected where name != "metadata.json" && name != "report.html" {
        #expect(found[name] == data, "\(name)")
      }
      expectRefusal(
        try Command.start(command + ["--output", "cut", "--resume"], in: folder).finish(), "--resume", "there is no")
    }
  }

  private static func writePicture(to path: String) throws {
    var generator = Generator(seed: 2)
    try PNG.write((generator.rand([40, 56, 3]) * 255).converted(to: .u8), to: path)
  }

  @Test func picturesAreContinuedWhereTheModelIsMadeForIt() throws {
    try withFolder { folder in
      let model = ["--model", "\(Self.pipelines)/cogvideox-5b-i2v/pipeline"]
      func run(_ arguments: String...) throws -> Command.Outcome {
        try Command.start(arguments + model, in: folder).finish()
      }
      try Self.writePicture(to: "\(folder)/picture.png")
      let info = try run("info", "--frames", "5")
      #expect(info.status == 0 && info.output.contains("for 50 steps, 2 passes each, of 2 blocks"), "\(info.errors)")
      let made = try run(
        "generate", "a boat", "--steps", "1", "--image", "picture.png", "--concepts", "boat,sea", "--output", "made")
      #expect(made.status == 0, "\(made.errors)")
      #expect(try SafetensorsFile(path: "\(folder)/made/maps.safetensors").tensor("average").shape == [2, 3, 2, 3])
      let first = try contents("\(folder)/made/frames")
      try PNG.write(Tensor(zeros: [32, 48, 3], dtype: .u8), to: "\(folder)/black.png")
      let other = try run("generate", "a boat", "--steps", "1", "--image", "black.png", "--output", "other")
      #expect(try other.status == 0 && contents("\(folder)/other/frames") != first)
      let looked = try run("segment", "made/video.gif", "--concepts", "boat,sea", "--output", "looked")
      #expect(looked.status == 0, "\(looked.errors)")

      expectRefusal(try run("generate", "a boat"), "continues a picture", "--image")
      expectRefusal(try run("generate", "a boat", "--image", "black.png", "--strength", "0.5"), "strength", "CogVideoX")
      expectRefusal(try run("generate", "a boat", "--image", "black.png", "--width", "64"), "64 × 32", "48 × 32")
      expectRefusal(
        try run("generate", "a boat", "--image", "black.png", "--max-sequence-length", "11"), "11", "1 to 10")
    }
  }

  @Test func videosOfOtherFormatsGoThroughFFmpeg() throws {
    try withFolder { folder in
      let environment = try makeProgram(in: folder), video = "\(folder)/clip.mp4"
      try Data("any".utf8).write(to: URL(fileURLWithPath: video))
      let looked = try run(
        ["segment", video, "--concepts", "boat,lake", "--output", "looked"], in: folder, environment: environment)
      #expect(looked.status == 0, "\(looked.errors)")
      let frames = try GIF.read(path: "\(folder)/looked/video.gif").frames
      #expect(frames.shape == [2, 16, 32, 3])
      #expect(frames.scalars(as: UInt8.self).first == 128 && frames.scalars(as: UInt8.self).last == 255)
      // What the stand-in kept are the frames as they were handed over.
      #expect(FileManager.default.contents(atPath: "\(folder)/looked/video.mp4")?.count == 2 * 16 * 32 * 3)

      let broken = "\(folder)/broken.mp4"
      try Data("any".utf8).write(to: URL(fileURLWithPath: broken))
      expectRefusal(
        try run(["segment", broken, "--concepts", "a,b"], in: folder, environment: environment), "broken.mp4",
        "no such codec")
      expectRefusal(
        try run(["segment", video, "--concepts", "a,b"], in: folder, environment: ["PATH": "/nonexistent"]), "ffmpeg")
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    try withFolder { folder in
      for name in ["1.png", "2.png"] {
        try PNG.write(Tensor(zeros: [32, name == "1.png" ? 48 : 32, 3], dtype: .u8), to: "\(folder)/\(name)")
      }
      try FileManager.default.createDirectory(atPath: "\(folder)/empty", withIntermediateDirectories: true)
      expectRefusal(try run(["segment", folder, "--concepts", "a,b"], in: folder), "2.png", "32 x 32", "48 x 32")
      expectRefusal(try run(["segment", "\(folder)/empty", "--concepts", "a,b"], in: folder), "empty", "PNG or JPEG")
      expectRefusal(
        try run(["segment", "\(folder)/1.png", "--frames", "3", "--concepts", "a,b"], in: folder), "--frames 3", "1")
      expectRefusal(try run(["generate", "a boat", "--frames", "5000"], in: folder), "5000", "1 to 1024")
      expectRefusal(try run(["generate", "a boat", "--fps", "0"], in: folder), "--fps", "50")
      expectRefusal(
        try run(["generate", "a boat", "--image", "\(folder)/1.png"], in: folder), "start from a picture", "CogVideoX")
      let flux = try Command.run(
        "segment", folder, "--frames", "1", "--concepts", "a,b", "--dynamic-guidance", in: folder)
      expectRefusal(flux, "--dynamic-guidance")
      try FileManager.default.removeItem(atPath: "\(folder)/2.png")
      try FileManager.default.copyItem(atPath: "\(folder)/1.png", toPath: "\(folder)/3.png")
      expectRefusal(try Command.run("segment", folder, "--concepts", "a,b", in: folder), "2 frames", "FLUX.1")
    }
  }
}
