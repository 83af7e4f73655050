import ArgumentParser
import Evaluation
import Formats
import Foundation

/// `evaluate --maps`: scores a folder of maps, whoever made them, without any model.
struct MapScoring {
  let folder: String
  let options: DatasetOptions
  let rules: EvaluationProtocol
  /// Whether the scores go to standard output as JSON.
  let printsJSON: Bool
  /// A JSON file; nil for none.
  let output: String?

  func run() throws {
    let dataset = try options.open(), maps = try MapFolder(folder)
    for problem in maps.problems { printError("warning: \(folder)/\(problem)") }
    let evaluation = MapEvaluation(dataset, following: rules, names: try options.names())
    var state = EvaluationState(dataset.classes)
    let files = try (output.map { [try ScoreFile($0)] } ?? []) + (printsJSON ? [ScoreFile()] : [])
    let progress = Progress("scoring, picture")
    var seen: Set<String> = []
    try evaluation.score(maps) { unit, outcomes in
      for outcome in outcomes {
        try options.tell(outcome)
        state.add(outcome, unit: unit)
        guard case .scored(let scores, _) = outcome else { continue }
        for file in files { try file.add(scores.summary(dataset.classes)) }
      }
      seen.formUnion(evaluation.units[unit].map(dataset.id))
      progress.show(unit + 1, of: evaluation.units.count)
      try checkInterrupt()
    }
    progress.finish()
    let strangers = maps.ids.subtracting(seen).sorted()
    if !strangers.isEmpty {
      let some = strangers.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
      printError("warning: \(folder): \(strangers.count) maps are of no picture of the data set, such as \(some)")
    }
    try options.check(state)
    let total = state.totals.summary(
      dataset.classes, format: options.dataset ?? "", split: options.split, rules: rules.rules)
    try withoutInterrupts { for file in files { try file.finish(total, state) } }
    if !printsJSON {
      print(ScoreTable.text(state))
      if let output { print(output) }
    }
    try options.finish(state)
  }
}

/// `evaluate --check`: opens every picture and mask of a data set, and tells what is wrong with it.
struct DatasetCheck {
  let options: DatasetOptions

  func run() throws {
    let dataset = try options.open(), evaluation = MapEvaluation(dataset)
    let progress = Progress("checking, picture")
    var done = 0, usable = 0
    try evaluation.check { id, warnings, fault in
      for warning in warnings { printError("warning: \(warning)") }
      if let fault {
        if options.strict { throw InputError("\(id) cannot be scored: \(fault)") }
        printError("faulty: \(id): \(fault)")
      }
      done += 1
      usable += fault == nil ? 1 : 0
      progress.show(done, of: dataset.count)
      try checkInterrupt()
    }
    progress.finish()
    print("\(usable) of \(done) pictures can be scored, \(dataset.classes.count) classes")
    if usable == 0 { throw InputError("there is nothing to score") }
    if usable < done, !options.skipFaulty { throw ExitCode(3) }
  }
}

/// Scores as JSON: `per_picture` as they come, then `total`, `metrics` with intervals, and what was skipped.
private final class ScoreFile {
  /// nil for standard output.
  private let file: AtomicFile?
  private var isEmpty = true

  init(_ path: String) throws { file = try AtomicFile(path: path) }

  init() { file = nil }

  func add(_ picture: JSONText) throws {
    try write(isEmpty ? "{\"per_picture\": [\n\(picture)" : ",\n\(picture)")
    isEmpty = false
  }

  /// Some picture has been added.
  func finish(_ total: JSONText, _ state: EvaluationState) throws {
    try write("],\n" + "\(Self.members(total, state))".dropFirst() + "\n")
    try file?.commit()
  }

  private func write(_ text: String) throws {
    if let file { try file.write(Array(text.utf8)) } else { try writeToStandardOutput(text) }
  }

  private static func members(_ total: JSONText, _ state: EvaluationState) -> JSONText {
    .object([
      ("total", total), ("metrics", state.metrics),
      (
        "skipped",
        .list(state.skipped.map { .object([("id", .text($0.id)), ("reason", .text($0.reason))]) })
      ),
    ])
  }
}

/// Figures as a table for a terminal.
enum ScoreTable {
  static func text(_ state: EvaluationState) -> String {
    var lines = ["\(state.totals.pictures) pictures"]
    for metric in SegmentationMetric.allCases {
      guard let figure = state.figure(metric) else { continue }
      let interval = figure.interval.map {
        String(format: "  [%.2f, %.2f]", $0.lowerBound * 100, $0.upperBound * 100)
      }
      let name = metric.title + String(repeating: " ", count: max(1, 34 - metric.title.count))
      lines.append(name + String(format: "%6.2f", figure.value * 100) + (interval ?? ""))
    }
    return lines.joined(separator: "\n")
  }
}
