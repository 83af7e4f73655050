import ConceptAttention
import Evaluation
import Formats
import Foundation
import Models
import Tensor

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
  /// Varied one at a time beside the table of methods.
  let ablations: [Ablation]
  /// Edges to cut; empty for no measure of faithfulness.
  let faithfulness: [Faithfulness.Edges]
  /// The most pictures that faithfulness is measured on.
  let faithfulPictures: Int?
  let team: Team

  func run() throws {
    let dataset = try options.open(), names = try options.names()
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    if team.leads { try AtomicFile.write(Array((rules.json + "\n").utf8), to: "\(output)/protocol.json") }
    let needsModel = methods.contains(where: \.needsModel) || !ablations.isEmpty || !faithfulness.isEmpty
    let session = EvaluationSession(
      evaluation: self, dataset: dataset, names: names, pipeline: needsModel ? try model.open() : nil)
    let variants = methods.map { Ablation.Variant(name: $0.name, rules: rules, method: $0) }
    try session.run(variants, folder: output, varied: nil)
    for ablation in ablations {
      guard let pipeline = session.pipeline else { continue }
      try session.run(
        try ablation.variants(of: rules, on: pipeline), folder: "\(output)/ablation-\(ablation.rawValue)",
        varied: ablation.title)
    }
    if !faithfulness.isEmpty { try session.measureFaithfulness(folder: "\(output)/faithfulness") }
    team.part()
    guard team.leads else { return }
    if session.missing > 0 {
      printError("\(session.missing) pictures are left to other parts of the run; the same command goes on")
      return
    }
    for state in session.states { try options.check(state) }
    for state in session.states { try options.finish(state) }
  }
}

/// What stays open while the tables of an evaluation are made one after the other.
final class EvaluationSession {
  let evaluation: MethodEvaluation
  let dataset: any SegmentationDataset
  let names: ClassNames
  let pipeline: (any DiffusionPipeline)?
  private(set) var states: [EvaluationState] = []
  /// Pictures of unfinished tables.
  var missing = 0
  /// By settings: what is asked for twice is measured once.
  private var known: [String: EvaluationState] = [:]

  init(
    evaluation: MethodEvaluation, dataset: any SegmentationDataset, names: ClassNames,
    pipeline: (any DiffusionPipeline)?
  ) {
    self.evaluation = evaluation
    self.dataset = dataset
    self.names = names
    self.pipeline = pipeline
  }

  /// Runs everything that goes into one table, and writes it.
  ///
  /// - Parameter title: what is varied; nil for methods
  func run(_ variants: [Ablation.Variant], folder: String, varied title: String?) throws {
    let makers = variants.map(maker)
    for maker in makers { try maker.check() }
    var results: [ResultTable.Result] = [], isWhole = true
    for (variant, maker) in zip(variants, makers) {
      guard let state = try run(variant, maker, folder: folder) else {
        isWhole = false
        continue
      }
      results.append(.init(name: variant.name, place: variant.place, state: state))
    }
    guard isWhole, evaluation.team.leads else { return }
    states += results.map(\.state)
    let table = table(results, varied: title)
    try withoutInterrupts { try write(table, folder) }
    print(table.overview)
    print("\(folder)/report.html")
  }

  func maker(_ variant: Ablation.Variant) -> MapMaker {
    MapMaker(
      variant.rules, variant.method, dataset.classes, pipeline: variant.method.needsModel ? pipeline : nil,
      names: names)
  }

  /// - Returns: nil while other processes have something left to do
  private func run(_ variant: Ablation.Variant, _ maker: MapMaker, folder parent: String) throws -> EvaluationState? {
    let settings = settings(variant)
    if let state = known[settings] { return state }
    let scoring = MapEvaluation(dataset, following: variant.rules, names: names),
      units = units(scoring, evaluation.limit)
    let folder = "\(parent)/\(Self.fileName(variant.name))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let maps = evaluation.saveMaps.map { "\($0)\(folder.dropFirst(evaluation.output.count))" }
    if let maps { try FileManager.default.createDirectory(atPath: maps, withIntermediateDirectories: true) }
    let ids = units.map { $0.map(dataset.id) }
    var state = EvaluationState(dataset.classes)
    let classes = dataset.classes.count
    let files = OutcomeFolder<OutcomeLine>(folder, settings: settings, units: ids) { $0.isSound(classes: classes) }
    var places: [Int: Int] = [:]
    let left = try ResumableRun(name: variant.name, files: files, units: units.count, team: evaluation.team).run {
      unit in
      try outcomes(units[unit], scoring, maker, maps).map { OutcomeLine($0) }
    } onLine: { unit, line in
      let place = places[unit, default: 0]
      places[unit] = place + 1
      state.add(line.outcome(ids[unit][place]), unit: unit)
    }
    if left > 0 {
      missing += left
      return nil
    }
    known[settings] = state
    return state
  }

  private func outcomes(
    _ unit: Range<Int>, _ scoring: MapEvaluation, _ maker: MapMaker, _ maps: String?
  ) throws -> [PictureOutcome] {
    var stop: (any Error)?
    let outcomes = scoring.score(unit) { example in
      if let stop { throw stop }
      let made = try maker.maps(example) {
        do { try checkInterrupt() } catch {
          stop = error
          throw error
        }
      }
      if let maps {
        do { try MapFolder.write(made.tensor, concepts: made.concepts, id: made.id, to: maps) } catch {
          stop = error
          throw error
        }
      }
      return made
    }
    if let stop { throw stop }
    try checkInterrupt()
    for outcome in outcomes { try evaluation.options.tell(outcome) }
    return outcomes
  }

  func units(_ scoring: MapEvaluation, _ limit: Int?) -> [Range<Int>] {
    limit.map { limit in scoring.units.filter { $0.upperBound <= limit } } ?? scoring.units
  }

  static func fileName(_ name: String) -> String {
    String(name.map { $0.isLetter || $0.isNumber || "._-".contains($0) ? $0 : "-" })
  }

  /// What a figure depends on: a folder of results of other settings is not gone on with.
  func settings(_ variant: Ablation.Variant) -> String {
    let model = evaluation.model
    var parts =
      dataParts + [
        "method \(variant.method.name)", "protocol \(variant.rules.json.filter { !$0.isNewline })",
      ]
    if variant.method.needsModel { parts += modelParts(model) }
    return parts.joined(separator: "; ")
  }

  var dataParts: [String] {
    let options = evaluation.options
    let names = names.concepts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return ["dataset \(options.dataset ?? "") \(options.split), \(dataset.count) pictures"]
      + (names.isEmpty ? [] : ["names \(names)"])
  }

  func modelParts(_ model: ModelOptions) -> [String] {
    ["model \(model.model) \(model.transformer ?? "") \(model.dtype?.rawValue ?? "")"]
      + ["compute \((model.compute ?? .automatic).rawValue)"]
      + (model.lora.isEmpty ? [] : ["lora \(model.lora.map { "\($0.file.path) \($0.file.strength)" })"])
  }

  // MARK: Tables

  func title(_ varied: String?) -> String {
    let options = evaluation.options
    return
      "\(options.dataset ?? "") \(options.split), protocol \(evaluation.rules.name)\(varied.map { ": \($0)" } ?? "")"
  }

  func settingsTable(_ pictures: Int) -> [(name: String, value: String)] {
    [
      ("data set", "\(evaluation.options.dataset ?? ""), \(evaluation.options.split), \(pictures) pictures scored"),
      ("protocol", evaluation.rules.summary), ("model", evaluation.model.model),
      ("program", "concept-attention \(programVersion)"),
    ]
  }

  private func table(_ results: [ResultTable.Result], varied: String?) -> ResultTable {
    let isVideo = results.contains { $0.state.totals[.videoConsistency] != nil }
    let metrics = evaluation.rules.metrics
    return ResultTable(
      title: title(varied), settings: settingsTable(results.first?.state.totals.pictures ?? 0),
      head: varied ?? "method",
      metrics: metrics + (isVideo && !metrics.contains(.videoConsistency) ? [.videoConsistency] : []), results: results)
  }

  private func write(_ table: ResultTable, _ folder: String) throws {
    let transaction = FileTransaction()
    for (name, text) in [
      ("plot.svg", table.plot), ("results.json", "\(table.json)\n"), ("table.md", table.markdown),
      ("table.csv", table.csv), ("classes.csv", table.classCSV), ("report.html", table.page),
    ] {
      try AtomicFile.write(Array(text.utf8), to: transaction.stage("\(folder)/\(name)"))
    }
    try transaction.commit()
  }
}
