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
    let folder = try EvaluationFolder(self)
    let needsModel = methods.contains(where: \.needsModel) || !ablations.isEmpty || !faithfulness.isEmpty
    let session = EvaluationSession(
      evaluation: self, dataset: dataset, names: names, folder: folder, pipeline: needsModel ? try model.open() : nil)
    let variants = methods.map { Ablation.Variant(name: $0.name, rules: rules, method: $0) }
    try session.run(variants, folder: output, varied: nil)
    for ablation in ablations {
      guard let pipeline = session.pipeline else { continue }
      try session.run(
        try ablation.variants(of: rules, on: pipeline), folder: folder.path(of: ablation), varied: ablation.title)
    }
    if !faithfulness.isEmpty { try session.measureFaithfulness(folder: folder.faithfulness) }
    team.part()
    guard team.leads else { return }
    try session.finish()
  }
}

/// What stays open while the tables of an evaluation are made one after the other.
final class EvaluationSession {
  let evaluation: MethodEvaluation
  let dataset: any SegmentationDataset
  let names: ClassNames
  let folder: EvaluationFolder
  let pipeline: (any DiffusionPipeline)?
  /// Tables with their folders. Each is made of what the folder has when it is asked for; nil while other processes have
  /// something left to do.
  var tables: [(folder: String, make: () throws -> (any TableFiles)?)] = []
  /// Pictures that other processes have left to do.
  var missing = 0
  private var states: [EvaluationState] = []
  /// What was counted of every picture, by variant.
  private var counted: [OutcomeFolder<OutcomeLine>] = []
  /// By settings: what is asked for twice is measured once.
  private var known: [String: EvaluationState] = [:]

  init(
    evaluation: MethodEvaluation, dataset: any SegmentationDataset, names: ClassNames, folder: EvaluationFolder,
    pipeline: (any DiffusionPipeline)?
  ) {
    self.evaluation = evaluation
    self.dataset = dataset
    self.names = names
    self.folder = folder
    self.pipeline = pipeline
  }

  /// Runs everything that goes into one table.
  ///
  /// - Parameter title: what is varied; nil for methods
  func run(_ variants: [Ablation.Variant], folder: String, varied title: String?) throws {
    let makers = variants.map(maker)
    for maker in makers { try maker.check() }
    let parts = try zip(variants, makers).map { (variant: $0, state: try run($0, $1, folder: folder)) }
    tables.append(
      (
        folder,
        { [unowned self] in
          let found = try parts.map { (variant: $0.variant, state: try $0.state()) }
          let results = found.compactMap { variant, state in
            state.map { ResultTable.Result(name: variant.name, place: variant.place, state: $0) }
          }
          guard results.count == parts.count else { return nil }
          states += results.map(\.state)
          return table(results, varied: title)
        }
      ))
  }

  /// Puts all tables in place, unless other processes have something left to do.
  func finish() throws {
    let made = try tables.map { (folder: $0.folder, table: try $0.make()) }
    guard missing == 0 else {
      printError("\(missing) pictures are left to other parts of the run; the same command goes on")
      return
    }
    do { for state in states { try evaluation.options.check(state) } } catch {
      // Whoever has mended the data set begins anew.
      for files in counted { files.discard() }
      throw error
    }
    try folder.put(made.compactMap { folder, table in table.map { (folder, $0) } }, evaluation.rules)
    for state in states { try evaluation.options.finish(state) }
  }

  func maker(_ variant: Ablation.Variant) -> MapMaker {
    MapMaker(
      variant.rules, variant.method, dataset.classes, pipeline: variant.method.needsModel ? pipeline : nil,
      names: names)
  }

  /// - Returns: what has been counted, looked for again in the folder when other processes were not done; nil while they
  ///   are not
  private func run(
    _ variant: Ablation.Variant, _ maker: MapMaker, folder parent: String
  ) throws -> () throws -> EvaluationState? {
    let settings = settings(variant)
    if let state = known[settings] { return { state } }
    let scoring = MapEvaluation(dataset, following: variant.rules, names: names),
      units = units(scoring, evaluation.limit)
    let path = "\(parent)/\(EvaluationFolder.name(variant.name))"
    try folder.make(path)
    let maps = evaluation.saveMaps.map { "\($0)\(path.dropFirst(evaluation.output.count))" }
    if let maps { try folder.make(maps) }
    let ids = units.map { $0.map(dataset.id) }, classes = dataset.classes
    let files = OutcomeFolder<OutcomeLine>(path, settings: settings, units: ids) {
      $0.isSound(classes: classes.count)
    }
    counted.append(files)
    let tally = OutcomeTally(classes, ids)
    let left = try ResumableRun(name: variant.name, files: files, units: units.count, team: evaluation.team).run {
      unit in
      try outcomes(units[unit], scoring, maker, maps).map { OutcomeLine($0) }
    } onLine: {
      tally.add($1, unit: $0)
    }
    if left == 0 {
      known[settings] = tally.state
      return { tally.state }
    }
    return { [unowned self] in
      let tally = OutcomeTally(classes, ids)
      let left = units.count - (try files.takeOver { tally.add($1, unit: $0) }).count
      missing += left
      return left == 0 ? tally.state : nil
    }
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
}

/// Adds up lines of results.
private final class OutcomeTally {
  private(set) var state: EvaluationState
  private let ids: [[String]]
  private var places: [Int: Int] = [:]

  init(_ classes: SegmentationClasses, _ ids: [[String]]) {
    state = EvaluationState(classes)
    self.ids = ids
  }

  func add(_ line: OutcomeLine, unit: Int) {
    let place = places[unit, default: 0]
    places[unit] = place + 1
    state.add(line.outcome(ids[unit][place]), unit: unit)
  }
}
