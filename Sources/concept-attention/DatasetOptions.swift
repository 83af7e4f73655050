import ArgumentParser
import EmbeddedModels
import Evaluation
import Foundation

/// Which pictures are measured, and what happens to faulty ones.
struct DatasetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What is measured on: \(DatasetFormat.all.map(\.name).joined(separator: ", ")).", valueName: "format"))
  var dataset: String?

  @Option(help: ArgumentHelp("The folder that the data set's archives unpack to.", valueName: "folder"))
  var data: String?

  @Option(help: ArgumentHelp("The part of the data set, as its lists or folders are called.", valueName: "name"))
  var split = "val"

  @Option(
    help: ArgumentHelp(
      "A JSON object from the data set's class names to the concepts that stand for them.", valueName: "file"))
  var classNames: String?

  @Flag(help: "Stop at the first picture that cannot be scored.")
  var strict = false

  @Flag(help: "Take pictures that cannot be scored as expected: exit with 0 although they were skipped.")
  var skipFaulty = false

  @Flag(help: "Read files that links lead to outside of the data set's folder.")
  var followLinks = false

  func validate() throws {
    if strict, skipFaulty { throw ValidationError("--strict and --skip-faulty exclude each other") }
    guard let dataset else { return }
    guard DatasetFormat.named(dataset) != nil else {
      let names = DatasetFormat.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n")
      throw ValidationError("--dataset '\(dataset)': there is no such format. There are\n\(names)")
    }
    if data == nil, dataset != "scenes" { throw ValidationError("--dataset \(dataset) needs --data, its folder") }
  }

  /// - Throws: `DatasetProblem` when there is nothing to score
  func open() throws -> any SegmentationDataset {
    guard let dataset, let format = DatasetFormat.named(dataset) else {
      throw InputError("name the data set with --dataset and its folder with --data")
    }
    let opened = try format(data ?? EmbeddedModel.tinyFlux.scenes, split: split, followsLinks: followLinks)
    for warning in opened.warnings { printError("warning: \(warning)") }
    return opened
  }

  func names() throws -> ClassNames { try classNames.map { try ClassNames(path: $0) } ?? ClassNames() }

  /// Tells of an outcome what is worth telling.
  ///
  /// - Throws: `InputError` for a faulty picture when `--strict` was given
  func tell(_ outcome: PictureOutcome) throws {
    for warning in outcome.warnings { printError("warning: \(warning)") }
    switch outcome {
    case .skipped(let id, let reason, _):
      if strict { throw InputError("\(id) cannot be scored: \(reason)") }
      printError("skipped \(id): \(reason)")
    case .scored, .leftOut: break
    }
  }

  /// What a finished run ends with.
  ///
  /// - Throws: `InputError` when nothing was scored, `ExitCode` when pictures were skipped that nobody expected
  func finish(_ state: EvaluationState) throws {
    guard !state.skipped.isEmpty else { return }
    printError("\(state.skipped.count) of \(state.skipped.count + state.totals.pictures) pictures were skipped")
    if !skipFaulty { throw ExitCode(3) }
  }

  func check(_ state: EvaluationState) throws {
    guard state.totals.pictures == 0 else { return }
    throw InputError(
      state.skipped.isEmpty ? "there are no pictures to score" : "none of \(state.skipped.count) pictures can be scored"
    )
  }
}
