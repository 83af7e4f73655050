import ConceptAttention
import Evaluation
import Formats
import Foundation
import Models

/// `evaluate --dataset`: makes maps of every picture by every method and scores them, in a folder that a run which was
/// cut off goes on in.
struct MethodEvaluation {
  let options: DatasetOptions
  let rules: EvaluationProtocol
  let methods: [EvaluationMethod]
  let model: ModelOptions
  let output: String
  /// A folder for the maps; nil to keep none.
  let saveMaps: String?
  /// The most pictures, counted from the first; nil for all.
  let limit: Int?

  func run() throws {
    let dataset = try options.open(), names = try options.names()
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    try AtomicFile.write(Array((rules.json + "\n").utf8), to: "\(output)/protocol.json")
    let pipeline = methods.contains(where: \.needsModel) ? try model.open() : nil
    var results: [(method: String, state: EvaluationState)] = []
    for method in methods {
      let maker = MapMaker(
        rules, method, dataset.classes, pipeline: method.needsModel ? pipeline : nil, names: names)
      results.append((method.name, try run(maker, method, dataset, names)))
    }
    let table = table(results, dataset)
    try withoutInterrupts { try write(table) }
    print(table.markdown.components(separatedBy: "\n## Classes")[0])
    print("\(output)/report.html")
    for (_, state) in results { try options.check(state) }
    for (_, state) in results { try options.finish(state) }
  }

  private func run(
    _ maker: MapMaker, _ method: EvaluationMethod, _ dataset: any SegmentationDataset, _ names: ClassNames
  ) throws -> EvaluationState {
    var classNames = ClassNames(rules.classNames)
    classNames.concepts.merge(names.concepts) { $1 }
    let evaluation = MapEvaluation(dataset, rules: rules.rules, names: classNames)
    let units = limit.map { limit in evaluation.units.prefix { $0.upperBound <= limit } } ?? evaluation.units[...]
    var state = EvaluationState(dataset.classes)
    let folder = "\(output)/\(method.name.replacing(":", with: "-"))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let (file, done) = try OutcomeFile.open(
      "\(folder)/pictures.jsonl", settings: try settings(method, dataset, names),
      units: units.map { $0.map(dataset.id) }
    ) { state.add($0) }
    if done > 0 { printError("\(method.name): going on after \(done) of \(units.count)") }
    let maps = saveMaps.map { "\($0)/\(method.name.replacing(":", with: "-"))" }
    if let maps { try FileManager.default.createDirectory(atPath: maps, withIntermediateDirectories: true) }
    let progress = Progress("\(method.name), picture")
    for (index, unit) in units.enumerated().dropFirst(done) {
      var stop: (any Error)?
      let outcomes = evaluation.score(unit, reasonToLeaveOut: maker.reasonToLeaveOut) { example in
        if let stop { throw stop }
        let made = try maker.maps(example) {
          do { try checkInterrupt() } catch {
            stop = error
            throw error
          }
        }
        if let maps { try MapFolder.write(made.tensor, concepts: made.concepts, id: made.id, to: maps) }
        return made
      }
      try checkInterrupt()
      for outcome in outcomes {
        try options.tell(outcome)
        state.add(outcome)
      }
      try file.append(outcomes)
      progress.show(index + 1 - done, of: units.count - done)
    }
    progress.finish()
    return state
  }

  /// What a figure depends on: a folder of results of other settings is not gone on with.
  private func settings(
    _ method: EvaluationMethod, _ dataset: any SegmentationDataset, _ names: ClassNames
  ) throws -> String {
    var parts = [
      "dataset \(options.dataset ?? "") \(options.split), \(dataset.count) pictures", "method \(method.name)",
      "protocol \(rules.json.filter { !$0.isNewline })",
    ]
    if !names.concepts.isEmpty {
      parts.append("names \(names.concepts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })")
    }
    if method.needsModel {
      parts.append("model \(model.model) \(model.transformer ?? "") \(model.dtype?.rawValue ?? "")")
      if !model.lora.isEmpty { parts.append("lora \(model.lora.map { "\($0.file.path) \($0.file.strength)" })") }
    }
    return parts.joined(separator: "; ")
  }

  private func table(
    _ results: [(method: String, state: EvaluationState)], _ dataset: any SegmentationDataset
  ) -> ResultTable {
    let pictures = results.first?.state.totals.pictures ?? 0
    return ResultTable(
      title: "\(options.dataset ?? "") \(options.split), protocol \(rules.name)",
      settings: [
        ("data set", "\(options.dataset ?? ""), \(options.split), \(pictures) pictures scored"),
        ("protocol", rules.summary), ("model", model.model), ("program", "concept-attention \(programVersion)"),
      ], metrics: rules.metrics + (results.contains { $0.state.totals[.videoConsistency] != nil } ? [.videoConsistency] : []),
      results: results)
  }

  private func write(_ table: ResultTable) throws {
    for (name, text) in [
      ("results.json", "\(table.json)\n"), ("table.md", table.markdown), ("table.csv", table.csv),
      ("classes.csv", table.classCSV), ("report.html", table.page),
    ] {
      try AtomicFile.write(Array(text.utf8), to: "\(output)/\(name)")
    }
  }
}
