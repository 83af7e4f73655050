import Formats
import Foundation
import Testing

/// The folder of an evaluation is one run's, whatever becomes of the next.
@Suite(.serialized) struct EvaluationFolderTests {
  private let trees = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/datasets").path

  private func evaluate(_ more: String..., in folder: String) throws -> Command.Outcome {
    try Command.start(line + more, in: folder).finish()
  }

  private var line: [String] {
    ["evaluate", "--dataset", "voc2012", "--data", "\(trees)/voc2012", "--method", "centre,chance", "--output", "o"]
  }

  /// The id of the one run that all tables are of; nil where there are none.
  private func run(_ folder: String, at location: SourceLocation = #_sourceLocation) throws -> String? {
    let files = try contents(folder).filter { name, _ in !name.contains(".part-") && !name.hasSuffix(".jsonl") }
    var found: [String: Set<String>] = [:]
    for (name, data) in files {
      let text = String(decoding: data, as: UTF8.self)
      switch (name as NSString).pathExtension {
      case "json" where name == "protocol.json": break
      case "json":
        let object = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        found[name] = [try #require((object["settings"] as? [String: String])?["run_id"])]
      case "csv":
        #expect(text.split(separator: "\n")[0].hasSuffix(",run_id"), "\(name)", sourceLocation: location)
        found[name] = Set(text.split(separator: "\n").dropFirst().map { String($0.suffix(32)) })
      case "md": found[name] = Set(text.matches(of: /- run_id: ([0-9a-f]{32})\n/).map { String($0.1) })
      case "html": found[name] = Set(text.matches(of: /<dt>run_id<\/dt><dd>([0-9a-f]{32})</).map { String($0.1) })
      case "svg": found[name] = Set(text.matches(of: /<!-- run_id ([0-9a-f]{32}) -->\n$/).map { String($0.1) })
      default: #expect(data.isEmpty, "\(name) is of no run", sourceLocation: location)  // a folder
      }
    }
    let all = found.values.reduce(into: Set<String>()) { $0.formUnion($1) }
    #expect(found.values.allSatisfy { $0.count == 1 } && all.count <= 1, "\(found)", sourceLocation: location)
    return all.first
  }

  @Test func theTablesOfAnEvaluationAppearTogether() throws {
    try withFolder { folder in
      let line = [
        "evaluate", "--dataset", "scenes", "--method", "centre", "--ablate", "draws", "--faithfulness", "word",
        "--faithfulness-limit", "1", "--output", "o", "--limit",
      ]
      #expect(try Command.start(line + ["2"], in: folder).finish().status == 0)
      let before = try contents("\(folder)/o"), first = try #require(try run("\(folder)/o"))
      let names = ["o/plot.svg", "o/ablation-draws/classes.csv", "o/faithfulness/table.csv", "o/protocol.json"]
      for name in names { #expect(FileManager.default.fileExists(atPath: "\(folder)/\(name)"), "\(name)") }
      // The last table cannot have its place: the first ones stay as they were, and nothing is computed.
      try FileManager.default.removeItem(atPath: "\(folder)/o/faithfulness/report.html")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/o/faithfulness/report.html", withIntermediateDirectories: false)
      expectRefusal(try Command.start(line + ["3"], in: folder).finish(), "faithfulness/report.html")
      try FileManager.default.removeItem(atPath: "\(folder)/o/faithfulness/report.html")
      for (name, data) in try contents("\(folder)/o") { #expect(data == before[name], "\(name)") }
      #expect(try Command.start(line + ["3"], in: folder).finish().status == 0)
      #expect(try #require(try run("\(folder)/o")) != first)
      #expect(try Command.start(line + ["2"], in: folder).finish().status == 0)
      #expect(try run("\(folder)/o") == first, "the same run")
    }
  }

  @Test func anEvaluationThatIsRefusedLeavesNothing() throws {
    try withFolder { folder in
      expectRefusal(try evaluate("--threshold", "0.5", "--class-names", "nowhere.json", in: folder), "nowhere.json")
      #expect(try contents(folder).isEmpty)
      #expect(try evaluate(in: folder).status == 0)
      let before = try contents(folder)
      expectRefusal(try evaluate("--threshold", "0.5", in: folder), "other settings")
      #expect(try contents(folder) == before)
    }
    for (make, word) in [
      ("echo x > o", "o:"), ("mkfifo o", "o:"), ("mkdir -p o/table.md", "table.md"),
      ("mkdir o; mkfifo o/chance", "o/chance"),
    ] {
      try withFolder { folder in
        let bash = try Process.run(
          URL(fileURLWithPath: "/bin/bash"), arguments: ["-c", "cd '\(folder)'; \(make)"])
        bash.waitUntilExit()
        let before = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
        let outcome = try evaluate(in: folder)
        expectRefusal(outcome, word)
        #expect(!outcome.errors.contains("Domain="), "\(outcome.errors)")
        #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() == before)
      }
    }
  }

  /// Otherwise the next run would go on from pictures that were skipped, mended or not.
  @Test func anEvaluationOfNothingLeavesNothing() throws {
    try withFolder { folder in
      let tree = "\(folder)/tree"
      try FileManager.default.copyItem(atPath: "\(trees)/broken/voc2012/missing-mask", toPath: tree)
      let masks = "\(tree)/VOCdevkit/VOC2012/SegmentationClass"
      try FileManager.default.moveItem(atPath: masks, toPath: "\(folder)/masks")
      try FileManager.default.createDirectory(atPath: masks, withIntermediateDirectories: false)
      let line = ["evaluate", "--dataset", "voc2012", "--data", tree, "--method", "centre", "--output", "o"]
      expectRefusal(try Command.start(line, in: folder).finish(), "none of 2 pictures can be scored")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/o"))
      try FileManager.default.removeItem(atPath: masks)
      try FileManager.default.moveItem(atPath: "\(folder)/masks", toPath: masks)
      #expect(try Command.start(line, in: folder).finish().status == 3, "one mask is missing still")
    }
  }

  /// Parts of one run let each other in, and nobody else.
  @Test func twoEvaluationsDoNotShareAFolder() throws {
    try withFolder { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/o", withIntermediateDirectories: true)
      do {
        let lock = try FolderLock("\(folder)/o")
        expectRefusal(try evaluate(in: folder), "another run is writing")
        expectRefusal(try evaluate("--shard", "1/2", in: folder), "another run is writing")
        withExtendedLifetime(lock) {}
      }
      do {
        let lock = try FolderLock("\(folder)/o", isShared: true)
        expectRefusal(try evaluate(in: folder), "another run is writing")
        #expect(try evaluate("--shard", "1/2", in: folder).status == 0)
        #expect(try evaluate("--shard", "2/2", in: folder).status == 0)
        withExtendedLifetime(lock) {}
      }
      #expect(try run("\(folder)/o") != nil)
      #expect(try evaluate(in: folder).status == 0)
    }
  }

  @Test func killsAtAnyMomentOfAnEvaluation() throws {
    try withFolder { folder in
      let start = ContinuousClock.now
      #expect(try evaluate("--limit", "1", in: folder).status == 0)
      let length = ContinuousClock.now - start
      for (index, signal) in [SIGINT, SIGTERM, SIGHUP, SIGKILL, SIGTERM, SIGKILL].enumerated() {
        let running = try Command.start(line + ["--limit", "\(index + 2)"], in: folder)
        if signal != SIGKILL { try running.waitUntilItCatchesInterrupts() }
        Command.waitForSomeMoment(of: length)
        kill(running.process.processIdentifier, signal)
        #expect([0, 128 + signal, -signal].contains(try running.finish().status))
        #expect(try run("\(folder)/o") != nil)
      }
    }
  }
}
