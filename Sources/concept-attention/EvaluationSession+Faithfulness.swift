import Evaluation
import Formats
import Foundation

extension EvaluationSession {
  /// Measures whether the maps of all methods show where the model uses a concept.
  func measureFaithfulness(folder: String) throws {
    guard let pipeline else { return }
    let rules = evaluation.rules, methods = evaluation.methods
    let variants = methods.map { Ablation.Variant(name: $0.name, rules: rules, method: $0) }
    let measure = Faithfulness(
      rules, pipeline, variants.map { (name: $0.name, maker: maker($0)) }, edges: evaluation.faithfulness)
    let scoring = MapEvaluation(dataset, following: rules, names: names)
    let units = units(scoring, [evaluation.limit, evaluation.faithfulPictures].compactMap { $0 }.min())
    let ids = units.map { $0.map(dataset.id) }
    let edges = evaluation.faithfulness.map(\.rawValue)
    let settings =
      (dataParts + modelParts(evaluation.model) + [
        "methods \(methods.map(\.name))", "edges \(edges)", "protocol \(rules.json.filter { !$0.isNewline })",
      ]).joined(separator: "; ")
    let files = OutcomeFolder<FaithfulnessLine>(folder, settings: settings, units: ids)
    var lines: [Int: [FaithfulnessLine]] = [:]
    let left = try ResumableRun(name: "faithfulness", files: files, units: units.count, team: evaluation.team).run {
      unit in
      try units[unit].map { try line($0, measure, scoring) }
    } onLine: { unit, line in
      lines[unit, default: []].append(line)
    }
    tables.append(
      (
        folder,
        { [unowned self] in
          if left > 0 {
            lines = [:]
            let done = try files.takeOver { lines[$0, default: []].append($1) }
            missing += units.count - done.count
            guard done.count == units.count else { return nil }
          }
          let found = ids.indices.flatMap { Array(zip(ids[$0], lines[$0] ?? [])) }
          return FaithfulnessTable(
            title: title("faithfulness"), settings: settingsTable(found.count), edges: evaluation.faithfulness,
            orders: [Faithfulness.random] + methods.map(\.name), lines: found.map { (id: $0.0, line: $0.1) })
        }
      ))
  }

  private func line(_ index: Int, _ measure: Faithfulness, _ scoring: MapEvaluation) throws -> FaithfulnessLine {
    try checkInterrupt()
    var line = FaithfulnessLine()
    let example: SegmentationExample
    do { example = try dataset.example(index) } catch {
      // The tables of methods have told of it.
      line.skipped = "\(error)"
      return line
    }
    if let reason = scoring.reasonToLeaveOut(example) {
      line.leftOut = reason
      return line
    }
    do { return try measure.measure(example, onStep: checkInterrupt) } catch let nothing as NothingAsked {
      line.leftOut = "\(nothing)"
      return line
    }
  }
}
