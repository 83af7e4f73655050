import Artifacts
import ConceptAttention
import Evaluation
import Formats
import Foundation
import Models
import Tensor

/// `evaluate --dataset`: makes maps of every picture by every method and scores them, in a folder that a run which was
/// cut off goes on in. What it counted of every picture is there at once; tables, plots and the protocol appear together
/// at the end.
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

  func run() throws {
    let dataset = try options.open(), names = try options.names()
    let folder = try RunFolder(
      output, folders: [], names: [], files: ["\(output)/protocol.json"], bytes: nil)
    let pipeline = methods.contains(where: \.needsModel) || !ablations.isEmpty ? try model.open() : nil
    let variants = methods.map { Ablation.Variant(name: $0.name, rules: rules, method: $0) }
    var states = try run(variants, dataset, names, pipeline, output, title: nil, folder)
    for ablation in ablations {
      guard let pipeline else { continue }
      let variants = try ablation.variants(of: rules, on: pipeline)
      states += try run(
        variants, dataset, names, pipeline, "\(output)/ablation-\(ablation.rawValue)", title: ablation.title, folder)
    }
    try stage("\(rules.json)\n", "\(output)/protocol.json", folder)
    try folder.commit()
    for page in folder.transaction.paths where page.hasSuffix(".html") { print(page) }
    for state in states { try options.check(state) }
    for state in states { try options.finish(state) }
  }

  /// Runs everything that goes into one table, and prints it.
  ///
  /// - Parameters:
  ///   - path: of the folder that the table goes to
  ///   - title: what is varied; nil for methods
  ///   - folder: of the run, in which the table is made ready
  private func run(
    _ variants: [Ablation.Variant], _ dataset: any SegmentationDataset, _ names: ClassNames,
    _ pipeline: (any DiffusionPipeline)?, _ path: String, title: String?, _ folder: RunFolder
  ) throws -> [EvaluationState] {
    let makers = variants.map {
      MapMaker(
        $0.rules, $0.method, dataset.classes, pipeline: $0.method.needsModel ? pipeline : nil, names: names)
    }
    for maker in makers { try maker.check() }
    try folder.transaction.makeFolder(path)
    for name in Self.fileNames { try AtomicFile.check("\(path)/\(name)") }
    var results: [(method: String, state: EvaluationState)] = []
    for (variant, maker) in zip(variants, makers) {
      results.append((variant.name, try run(variant, maker, dataset, names, path, folder)))
    }
    var table = table(results, dataset, varied: title)
    let points = zip(variants, results).compactMap { variant, result in variant.place.map { ($0, result.state) } }
    if let title, points.count > 1 { table.curve = ResultCurve(axis: title, metrics: rules.metrics, points: points) }
    try stage(table, path, folder)
    print(table.markdown.components(separatedBy: "\n## Classes")[0])
    return results.map(\.state)
  }

  private func run(
    _ variant: Ablation.Variant, _ maker: MapMaker, _ dataset: any SegmentationDataset, _ names: ClassNames,
    _ parent: String, _ run: RunFolder
  ) throws -> EvaluationState {
    let name = String(variant.name.map { $0.isLetter || $0.isNumber || "._-".contains($0) ? $0 : "-" })
    let evaluation = MapEvaluation(dataset, following: variant.rules, names: names)
    let units = limit.map { limit in evaluation.units.prefix { $0.upperBound <= limit } } ?? evaluation.units[...]
    var state = EvaluationState(dataset.classes)
    let folder = "\(parent)/\(name)"
    try run.transaction.makeFolder(folder)
    let (file, done) = try OutcomeFile.open(
      "\(folder)/pictures.jsonl", settings: settings(variant, dataset, names),
      classes: dataset.classes, units: units.map { $0.map(dataset.id) }
    ) { state.add($0) }
    if done > 0 { printError("\(variant.name): going on after \(done) of \(units.count)") }
    let maps = saveMaps.map { "\($0)\(parent.dropFirst(output.count))/\(name)" }
    if let maps { try run.transaction.makeFolder(maps) }
    let progress = Progress("\(variant.name), picture")
    for (index, unit) in units.enumerated().dropFirst(done) {
      var stop: (any Error)?
      let outcomes = evaluation.score(unit) { example in
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
    _ variant: Ablation.Variant, _ dataset: any SegmentationDataset, _ names: ClassNames
  ) -> String {
    let method = variant.method
    var parts = [
      "dataset \(options.dataset ?? "") \(options.split), \(dataset.count) pictures", "method \(method.name)",
      "protocol \(variant.rules.json.filter { !$0.isNewline })",
    ]
    if !names.concepts.isEmpty {
      parts.append("names \(names.concepts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })")
    }
    if method.needsModel {
      parts.append("model \(model.model) \(model.transformer ?? "") \(model.dtype?.rawValue ?? "")")
      parts.append("compute \((model.compute ?? .automatic).rawValue)")
      if !model.lora.isEmpty { parts.append("lora \(model.lora.map { "\($0.file.path) \($0.file.strength)" })") }
    }
    return parts.joined(separator: "; ")
  }

  private func table(
    _ results: [(method: String, state: EvaluationState)], _ dataset: any SegmentationDataset, varied: String?
  ) -> ResultTable {
    let pictures = results.first?.state.totals.pictures ?? 0
    let isVideo = results.contains { $0.state.totals[.videoConsistency] != nil }
    return ResultTable(
      title: "\(options.dataset ?? "") \(options.split), protocol \(rules.name)\(varied.map { ": \($0)" } ?? "")",
      settings: [
        ("data set", "\(options.dataset ?? ""), \(options.split), \(pictures) pictures scored"),
        ("protocol", rules.summary), ("model", model.model), ("program", "concept-attention \(programVersion)"),
      ], metrics: rules.metrics + (isVideo ? [.videoConsistency] : []), results: results)
  }

  /// Of a table, beside the folders of its variants.
  private static let fileNames =
    ["results.json", "table.md", "table.csv", "classes.csv", "report.html", "plot.svg"]
    + SegmentationMetric.allCases.map { "plot-\($0.rawValue).svg" }

  private func stage(_ table: ResultTable, _ path: String, _ folder: RunFolder) throws {
    var hash = ContentHash()
    hash.add("\(table.json)")
    let table = table.adding(settings: [(RunID.key, hash.text)])
    func stage(svg: String, _ name: String) throws {
      try self.stage("\(svg)<!-- \(RunID.key) \(hash.text) -->\n", "\(path)/\(name)", folder)
    }
    if let curve = table.curve { try stage(svg: curve.svg, "plot.svg") }
    for metric in table.curve == nil ? table.metrics : [] {
      try stage(svg: table.plot(metric), "plot-\(metric.rawValue).svg")
    }
    for (name, text) in [
      ("results.json", "\(table.json)\n"), ("table.md", table.markdown), ("table.csv", table.csv),
      ("classes.csv", table.classCSV), ("report.html", table.page),
    ] {
      try self.stage(text, "\(path)/\(name)", folder)
    }
  }

  private func stage(_ text: String, _ path: String, _ folder: RunFolder) throws {
    try AtomicFile.write(Array(text.utf8), to: folder.transaction.stage(path))
  }
}
