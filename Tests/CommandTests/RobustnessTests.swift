import EmbeddedModels
import Formats
import Foundation
import Models
import Tensor
import Testing

/// What users can mistype, break or kill.
@Suite(.serialized) struct RobustnessTests {
  private static let small = ["--concepts", "boat,sea", "--steps", "1", "--width", "32", "--height", "32"]

  /// Runs a line of bash in which `$program` is the program; 124 when it takes more than a minute.
  private func shell(_ line: String, in folder: String) throws -> Command.Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", "ulimit -c 0; small='\(Self.small.joined(separator: " "))'; \(line)"]
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["program": "timeout 60 \(Command.executable.path)", "binary": Command.executable.path]) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    let running = Command.Running(process: process)
    process.standardOutput = running.output
    process.standardError = running.errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return try running.finish()
  }

  private func runID(_ folder: String) throws -> String { try metadata(folder, "run_id") }

  private func metadata(_ folder: String, _ key: String) throws -> String {
    let metadata = try #require(FileManager.default.contents(atPath: "\(folder)/metadata.json"))
    let object = try #require(JSONSerialization.jsonObject(with: metadata) as? [String: Any])
    return try #require(object[key] as? String)
  }

  /// Every file that can say so says which run it is of, and all say the same; the picture says that it is the picture.
  private func expectOneRun(_ folder: String, at location: SourceLocation = #_sourceLocation) throws {
    let id = try runID(folder)
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let path = "\(folder)/\(name)"
      switch (name as NSString).pathExtension {
      case "png" where name == "image.png":
        let image = try metadata(folder, "image_id")
        #expect(try PNG.texts(path: path).contains(PNG.Text("image_id", image)), sourceLocation: location)
      case "png":
        #expect(try PNG.texts(path: path).contains(PNG.Text("run_id", id)), "\(name)", sourceLocation: location)
      case "safetensors": #expect(try SafetensorsFile(path: path).metadata["run_id"] == id, sourceLocation: location)
      case "npz":
        let bytes = try NpzFile(path: path).tensor("run_id").scalars(as: UInt8.self)
        #expect(String(decoding: bytes, as: UTF8.self) == id, sourceLocation: location)
      case "html": #expect(try String(contentsOfFile: path, encoding: .utf8).contains(id), sourceLocation: location)
      case "json": break
      default: Issue.record("\(name) is of no run", sourceLocation: location)
      }
    }
  }

  @Test func everyFileOfARunSaysWhichRunItIsOf() throws {
    try withFolder { folder in
      #expect(try shell("$program generate 'a boat' $small --output o", in: folder).status == 0)
      try expectOneRun("\(folder)/o")
      let first = try runID("\(folder)/o")
      #expect(try shell("$program generate 'a boat' $small --output o", in: folder).status == 0)
      try expectOneRun("\(folder)/o")
      #expect(try runID("\(folder)/o") == first, "the same run")
      #expect(try shell("$program generate 'a boat' $small --seed 2 --output o", in: folder).status == 0)
      try expectOneRun("\(folder)/o")
      #expect(try runID("\(folder)/o") != first)
    }
  }

  @Test func whatStandsInTheWayIsFoundBeforeTheRun() throws {
    try withFolder { folder in
      let before = try shell("mkdir -p d/report.html s t; echo x > t/seed-1", in: folder)
      #expect(before.status == 0)
      expectRefusal(try shell("$program generate 'a boat' $small --output d", in: folder), "report.html")
      expectRefusal(
        try shell("$program generate 'a boat' $small --output e --save-tensors s", in: folder), "cannot write s")
      expectRefusal(try shell("$program generate 'a boat' $small --output t --images 2", in: folder), "seed-1")
      expectRefusal(try shell("$program evaluate --output d", in: folder), "cannot write d")
      expectRefusal(try shell("$program generate 'a boat' $small --output ''", in: folder), "--output")
      expectRefusal(try shell("$program generate 'a boat' $small --save-tensors ''", in: folder), "--save-tensors")
      #expect(try Set(contents(folder).keys) == ["d", "d/report.html", "s", "t", "t/seed-1"])
    }
  }

  @Test func twoRunsDoNotShareAFolder() throws {
    try withFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/o", withIntermediateDirectories: true)
      let lock = try FolderLock("\(folder)/o")
      expectRefusal(try shell("$program generate 'a boat' $small --output o", in: folder), "another run is writing")
      withExtendedLifetime(lock) {}
    }
  }

  @Test func pipesAsInputs() throws {
    try withFolder { folder in
      #expect(try shell("mkfifo p", in: folder).status == 0)
      for option in ["--lora p", "--image p", "--transformer p", "--autoencoder p", "--t5 p"] {
        expectRefusal(try shell("$program generate x $small --output o \(option)", in: folder), "p", "regular file")
      }
      expectRefusal(try shell("$program segment p --concepts boat,sea", in: folder), "regular file")
    }
  }

  @Test func pipesAmongTheFilesOfAnEvaluation() throws {
    let trees = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/datasets").path
    try withFolder { folder in
      #expect(
        try shell("mkfifo p p.json; mkdir -p o/centre d; mkfifo d/gtsegs_ijcv.mat o/centre/pictures.jsonl", in: folder)
          .status == 0)
      let line = "$program evaluate --dataset voc2012 --data \(trees)/voc2012 --method centre"
      expectRefusal(try shell("\(line) --output x --protocol ./p.json", in: folder), "p.json", "regular file")
      expectRefusal(try shell("\(line) --output x --class-names p", in: folder), "p:", "regular file")
      expectRefusal(try shell("\(line) --output o", in: folder), "pictures.jsonl", "regular file")
      expectRefusal(
        try shell("$program evaluate --dataset imagenet-segmentation --data d --check", in: folder), "gtsegs_ijcv.mat")
    }
  }

  /// Renamed over, it would be gone.
  @Test func whatIsNoFileIsNotReplaced() throws {
    try withFolder { folder in
      #expect(try shell("mkfifo p; mkdir o; mkfifo o/report.html", in: folder).status == 0)
      expectRefusal(
        try shell("$program generate 'a boat' $small --output o", in: folder), "report.html", "regular file")
      expectRefusal(try shell("$program generate 'a boat' $small --save-tensors p --output x", in: folder), "p:")
      expectRefusal(try shell("$program evaluate --output p", in: folder), "p:", "regular file")
      #expect(try shell("test -p p && test -p o/report.html && test ! -e x", in: folder).status == 0)
    }
  }

  /// 192.0.2.1 is no machine's address (RFC 5737).
  @Test func anExplorerThatCannotStartLeavesNothing() throws {
    try withFolder { folder in
      let address = "--host 192.0.2.1 --token 0123456789abcdef"
      let place = "error: cannot listen on 192.0.2.1 port 47861: "
      for (line, word) in [("--lora nowhere", "nowhere"), ("--model nowhere", "nowhere"), (address, place)] {
        let outcome = try shell("$program explore --port 47861 --runs a/b \(line)", in: folder)
        expectRefusal(outcome, word)
        #expect(!outcome.errors.contains("errno"), "\(outcome.errors)")
        #expect(try contents(folder).isEmpty, "\(line)")
      }
      #expect(try shell("mkdir -p a/b; echo x > a/b/notes", in: folder).status == 0)
      expectRefusal(try shell("$program explore --port 47861 --runs a/b --lora nowhere", in: folder), "nowhere")
      #expect(try Set(contents(folder).keys) == ["a", "a/b", "a/b/notes"])
    }
  }

  @Test func aDamagedStateIsNotGoneOnWith() throws {
    try withFolder { folder in
      let line = "$program generate 'a boat' --concepts boat,sea --steps 30 --save-every 0 --output o"
      let running = try Command.start(
        ["generate", "a boat", "--concepts", "boat,sea", "--steps", "30", "--save-every", "0", "--output", "o"],
        in: folder)
      let path = "\(folder)/o/resume.safetensors"
      while running.process.isRunning, !FileManager.default.fileExists(atPath: path) { usleep(500) }
      kill(running.process.processIdentifier, SIGKILL)
      _ = try running.finish()
      let whole = try #require(FileManager.default.contents(atPath: path))
      for place in [whole.count / 2, whole.count - 3] {
        var damaged = whole
        damaged[place] ^= 4
        try damaged.write(to: URL(fileURLWithPath: path))
        expectRefusal(try shell("\(line) --resume", in: folder), "--resume", "resume.safetensors", "damaged")
      }
      try whole.write(to: URL(fileURLWithPath: path))
      #expect(try shell("\(line) --resume", in: folder).status == 0)
    }
  }

  @Test func standardErrorAndOutputThatAreClosedOrFull() throws {
    try withFolder { folder in
      #expect(try shell("$program generate x --steps 0 2>/dev/full", in: folder).status == 2)
      #expect(try shell("$program --nope 2>&-", in: folder).status == 2)
      #expect(try shell("$program sites >&- 2>&-", in: folder).status == 0)
      #expect(try shell("$program sites >/dev/full", in: folder).status == 2)
      #expect(try shell("set -o pipefail; $program sites | head -n 1 >/dev/null", in: folder).status == 0)
      #expect(try shell("$program generate 'a boat' $small --output o >&- 2>&-", in: folder).status == 0)
      try expectOneRun("\(folder)/o")
    }
  }

  @Test func environmentAndLimits() throws {
    try withFolder { folder in
      expectRefusal(try shell("CK_ISA=bogus $program sites", in: folder), "CK_ISA", "bogus", "generic")
      expectRefusal(try shell("CK_READING=bogus $program sites", in: folder), "CK_READING", "bogus", "apart")
      let tight = try shell(
        "ulimit -v 204800; $program generate 'a boat' $small --output o; s=$?; rm -rf o; exit $s", in: folder)
      #expect([0, 2].contains(tight.status), "\(tight.errors)")
      let large = try shell(
        "ulimit -v 4000000; $program generate 'a boat' --images 256 --width 8192 --height 8192 --output o", in: folder)
      expectRefusal(large, "memory", "ulimit -v", "--force")
      expectRefusal(
        try shell("ulimit -f 1; $program generate 'a boat' $small --output o", in: folder), "File too large")
      #expect(try contents(folder).isEmpty)
      expectRefusal(
        try shell("$program segment nowhere.png --concepts a,b --samples 9223372036854775807", in: folder), "nowhere")
    }
  }

  @Test func aRunThatCannotFinishLeavesTheEarlierOneWhole() throws {
    try withFolder { folder in
      #expect(try shell("$program generate 'a boat' $small --output o", in: folder).status == 0)
      let before = try contents("\(folder)/o")
      let outcome = try shell("ulimit -f 8; $program generate 'a boat' $small --seed 2 --output o", in: folder)
      #expect(outcome.status == 2, "\(outcome.errors)")
      #expect(try contents("\(folder)/o") == before)
    }
  }

  @Test func numbersThatAreNone() throws {
    try withFolder { folder in
      try FileManager.default.copyItem(atPath: EmbeddedModel.tinyFlux.folder, toPath: "\(folder)/m")
      let path = "\(folder)/m/transformer/diffusion_pytorch_model.safetensors"
      let file = try SafetensorsFile(path: path)
      var tensors: [String: Tensor] = [:]
      for name in file.names { tensors[name] = try file.tensor(name) }
      let name = "transformer_blocks.1.attn.to_v.weight"
      tensors[name] = (try #require(tensors[name]).converted(to: .f32) * .nan).converted(to: .bf16)
      try SafetensorsFile.write(tensors, to: path)
      let line = "$program generate 'a boat' $small --model m --output o"
      expectRefusal(try shell(line, in: folder), "double.1", "step 0", "--allow-nonfinite")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/o"))
      #expect(try shell("\(line) --allow-nonfinite", in: folder).status == 0)
      expectRefusal(try shell("$program evaluate --model m --output scores.json", in: folder), "not finite", "weights")
    }
  }

  /// The build's folder is out of sight, as on a machine that the program was copied to.
  @Test func aProgramAlone() throws {
    try withFolder { folder in
      let outcome = try shell(
        "cp $binary moved && unshare -m bash -c 'mount -t tmpfs none \(folder)/m 2>/dev/null; true'; ./moved --version",
        in: folder)
      #expect(outcome.status == 0)
      #expect(try shell("./moved evaluate --help", in: folder).status == 0)
    }
  }

  /// Old or new, never a mixture, whatever ends the program and whenever.
  @Test func killsAtAnyMoment() throws {
    try withFolder { folder in
      let start = ContinuousClock.now
      #expect(try shell("$program generate 'a boat' $small --output o", in: folder).status == 0)
      let length = ContinuousClock.now - start, names = try Set(contents("\(folder)/o").keys)
      for (index, signal) in [SIGINT, SIGTERM, SIGHUP, SIGKILL, SIGTERM, SIGKILL].enumerated() {
        let arguments = ["generate", "a boat", "--output", "o", "--seed", "\(index)"] + Self.small
        let running = try Command.start(arguments, in: folder)
        if signal != SIGKILL { try running.waitUntilItCatchesInterrupts() }
        Command.waitForSomeMoment(of: length)
        kill(running.process.processIdentifier, signal)
        let status = try running.finish().status
        #expect([0, 128 + signal, -signal].contains(status))
        try expectWhole("\(folder)/o", names)
      }
    }
  }

  /// A file that SIGKILL left unfinished has its own name and goes with the next run.
  private func expectWhole(_ folder: String, _ names: Set<String>) throws {
    let unfinished = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains(".part-") }
    for name in unfinished { try FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
    #expect(try Set(contents(folder).keys) == names)
    try expectOneRun(folder)
  }
}
