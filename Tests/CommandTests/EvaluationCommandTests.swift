import Foundation
import Testing

/// `evaluate` as a user runs it: on data sets, on maps, cut off and taken up again.
@Suite struct EvaluationCommandTests {
  private let trees = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/datasets").path

  @Test func mapsAreScoredIntoAFileAndATable() throws {
    let folder = try folder(), tree = "\(trees)/voc2012"
    let run = try Command.run(
      "evaluate", "--dataset", "voc2012", "--data", tree, "--maps", "\(tree)/maps", "--output", "scores.json",
      in: folder)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("12 pictures") && run.output.contains("mAP"))
    let scores = try object("\(folder)/scores.json")
    #expect((scores["per_picture"] as? [Any])?.count == 12)
    #expect((scores["total"] as? [String: Any])?["pictures"] as? Int == 12)
  }

  @Test func faultyPicturesAreSkippedCountedAndToldByTheStatus() throws {
    let tree = "\(trees)/broken/voc2012/missing-mask", folder = try folder()
    let arguments = ["evaluate", "--dataset", "voc2012", "--data", tree, "--method", "centre", "--output", "out"]
    func status(_ more: [String]) throws -> (status: Int32, errors: String) {
      let run = try Command.start(arguments + more, in: folder).finish()
      return (run.status, run.errors)
    }
    let plain = try status([])
    #expect(plain.status == 3)
    #expect(plain.errors.contains("SegmentationClass/2007_002775.png"))
    #expect(plain.errors.contains("1 of 2 pictures were skipped"))
    let allowed = try status(["--skip-faulty"])
    #expect(allowed.status == 0)
    try FileManager.default.removeItem(atPath: "\(folder)/out")
    let strict = try status(["--strict"])
    #expect(strict.status == 2)
    #expect(strict.errors.contains("SegmentationClass/2007_002775.png"))
  }

  @Test func aDataSetIsCheckedWithoutMaps() throws {
    let folder = try folder()
    let whole = try Command.run(
      "evaluate", "--check", "--dataset", "ade20k", "--data", "\(trees)/ade20k", in: folder)
    #expect(whole.status == 0 && whole.output.hasPrefix("12 of 12"))
    let empty = try Command.run(
      "evaluate", "--check", "--dataset", "ade20k", "--data", "\(trees)/broken/ade20k/empty-list", in: folder)
    #expect(empty.status == 2 && empty.errors.contains("images/validation"))
  }

  @Test func aRunThatWasKilledGoesOnToTheSameNumbers() throws {
    let folder = try folder()
    func arguments(_ output: String) -> [String] {
      ["evaluate", "--dataset", "scenes", "--limit", "12", "--method", "concept-attention,chance", "--output", output]
    }
    let whole = try Command.start(arguments("whole"), in: folder).finish()
    #expect(whole.status == 0, "\(whole.errors)")
    let killed = try Command.start(arguments("killed"), in: folder)
    let lines = "\(folder)/killed/concept-attention/pictures.jsonl"
    while killed.process.isRunning {
      let text = (try? String(contentsOfFile: lines, encoding: .utf8)) ?? ""
      if text.split(separator: "\n").count > 3 { kill(killed.process.processIdentifier, SIGKILL) }
      usleep(2000)
    }
    let again = try Command.start(arguments("killed"), in: folder).finish()
    #expect(again.status == 0, "\(again.errors)")
    #expect(again.errors.contains("going on after"))
    for name in ["results.json", "table.md", "table.csv", "classes.csv", "report.html"] {
      let one = try String(contentsOfFile: "\(folder)/whole/\(name)", encoding: .utf8)
      let other = try String(contentsOfFile: "\(folder)/killed/\(name)", encoding: .utf8)
      #expect(one == other, "\(name)")
    }
  }

  @Test func partsMakeTheTableOfTheWhole() throws {
    let folder = try folder(), tree = "\(trees)/broken/voc2012/missing-mask"
    func run(_ more: String...) throws -> Command.Outcome {
      try Command.start(
        ["evaluate", "--dataset", "voc2012", "--data", tree, "--method", "centre,chance"] + more, in: folder
      ).finish()
    }
    let whole = try run("--output", "whole"), first = try run("--output", "parts", "--shard", "2/2")
    #expect(whole.status == 3 && first.status == 0)
    #expect(first.errors.contains("left to other parts") && first.output.isEmpty)
    let second = try run("--output", "parts", "--shard", "1/2")
    #expect(second.status == 3, "the faulty picture is told of by whoever comes last")
    for name in ["results.json", "table.md", "table.csv", "classes.csv", "report.html", "plot.svg"] {
      let one = try String(contentsOfFile: "\(folder)/whole/\(name)", encoding: .utf8)
      let other = try String(contentsOfFile: "\(folder)/parts/\(name)", encoding: .utf8)
      #expect(one == other, "\(name)")
    }
  }

  @Test func faithfulnessHasATableAndPlots() throws {
    let folder = try folder()
    let run = try Command.run(
      "evaluate", "--dataset", "scenes", "--limit", "2", "--method", "centre", "--faithfulness", "word",
      "--faithfulness-limit", "1", "--output", "out", in: folder)
    #expect(run.status == 0, "\(run.errors)")
    let table = try String(contentsOfFile: "\(folder)/out/faithfulness/table.md", encoding: .utf8)
    #expect(table.contains("random order") && table.contains("1 pictures measured"))
    for name in ["plot-word.svg", "curves-word.svg", "report.html", "table.csv"] {
      #expect(FileManager.default.fileExists(atPath: "\(folder)/out/faithfulness/\(name)"), "\(name)")
    }
  }

  @Test func aPictureWithoutAnyClassIsNoFault() throws {
    let folder = try folder()
    let run = try Command.run(
      "evaluate", "--dataset", "voc2012", "--data", "\(trees)/broken/voc2012/all-void", "--method", "uniform",
      "--output", "out", in: folder)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.errors.contains("SegmentationClass/2007_002775.png"))
    let methods = try object("\(folder)/out/results.json")["methods"] as? [String: Any]
    #expect((methods?["uniform"] as? [String: Any])?["pictures"] as? Int == 2)
  }

  @Test func savedMapsScoreLikeTheRunThatMadeThem() throws {
    let folder = try folder(), tree = "\(trees)/folder"
    let made = try Command.run(
      "evaluate", "--dataset", "folder", "--data", tree, "--method", "chance", "--output", "out", "--save-maps", "maps",
      in: folder)
    #expect(made.status == 0, "\(made.errors)")
    let scored = try Command.run(
      "evaluate", "--dataset", "folder", "--data", tree, "--maps", "maps/chance", "--output", "scores.json", in: folder)
    #expect(scored.status == 0, "\(scored.errors)")
    let metrics = try object("\(folder)/scores.json")["metrics"] as? [String: Any]
    let one = metrics?["map"] as? [String: Any]
    let methods = try object("\(folder)/out/results.json")["methods"] as? [String: Any]
    let chance = (methods?["chance"] as? [String: Any])?["metrics"] as? [String: Any]
    let other = chance?["map"] as? [String: Any]
    #expect(one?["value"] as? Double != nil)
    #expect(one?["value"] as? Double == other?["value"] as? Double)
  }

  @Test func aModelThatComesAlongIsMeasuredOnItsOwnScenes() throws {
    let folder = try folder()
    let run = try Command.run("evaluate", "--model", "tiny-sd3", "--output", "metrics.json", in: folder)
    #expect(run.status == 0, "\(run.errors)")
    #expect(try object("\(folder)/metrics.json")["n"] as? Int == 50, "tiny-flux has 100 scenes")
  }

  @Test func anAblationHasATableAndAPlot() throws {
    let folder = try folder()
    let run = try Command.run(
      "evaluate", "--dataset", "scenes", "--limit", "2", "--method", "uniform", "--ablate", "draws", "--output", "out",
      in: folder)
    #expect(run.status == 0, "\(run.errors)")
    let table = try String(contentsOfFile: "\(folder)/out/ablation-draws/table.csv", encoding: .utf8)
    #expect(table.contains("8,accuracy,"))
    let plot = try String(contentsOfFile: "\(folder)/out/ablation-draws/plot.svg", encoding: .utf8)
    #expect(plot.hasPrefix("<svg") && plot.contains("draws of noise"))
  }

  @Test(arguments: [
    (["--dataset", "voc"], "no such format"), (["--dataset", "voc2012"], "needs --data"),
    (["--maps", "m"], "needs --dataset"), (["--dataset", "scenes"], "--output is missing"),
    (["--dataset", "scenes", "--output", "o", "--method", "magic"], "magic"),
    (["--dataset", "scenes", "--output", "o", "--protocol", "paper-imagenet", "--limit", "1"], "layer 14"),
    (["--dataset", "scenes", "--output", "o", "--ablate", "luck"], "luck"),
    (["--dataset", "scenes", "--output", "o", "--faithfulness", "trust"], "trust"),
    (["--dataset", "scenes", "--output", "o", "--shard", "3/2"], "3/2"),
    (["--dataset", "scenes", "--output", "o", "--shard", "0/2"], "0/2"),
    (
      ["--dataset", "scenes", "--output", "o", "--faithfulness-limit", "2"], "--faithfulness-limit has no meaning here"
    ),
    (["--dataset", "voc2012", "--data", "nowhere", "--output", "o"], "nowhere"),
    (["--threshold", "2"], "threshold"), (["--method", "chance"], "--method has no meaning here"),
    (["--dataset", "scenes", "--json", "--output", "o"], "--json has no meaning here"),
  ])
  func wrongInputIsNamed(_ arguments: [String], _ message: String) throws {
    let run = try Command.start(["evaluate"] + arguments, in: folder()).finish()
    #expect(run.status == 2)
    #expect(run.errors.contains(message), "\(run.errors)")
  }

  @Test func aProtocolIsPrintedToCopyAndChange() throws {
    let run = try Command.run("evaluate", "--protocol", "paper-voc-multi", "--print-protocol", in: folder())
    #expect(run.status == 0 && run.output.contains("\"labelSize\" : 64"))
  }

  private func object(_ path: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
    return try #require(value as? [String: Any])
  }

  private func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("evaluate-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }
}
