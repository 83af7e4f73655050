import ArgumentParser
import ConceptAttention
import EmbeddedModels
import Evaluation
import Formats
import Foundation
import Models
import Tensor

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures concept maps against masks.",
    discussion: """
      Without a data set, shows every picture of a set of scenes to the model once per noise level and scores the maps \
      of attention outputs and of both directions of cross-attention, per layer and together: accuracy, IoU and average \
      precision. With --dataset, measures any method on a public data set by a written protocol; with --maps, scores \
      maps that were made elsewhere.

      EXAMPLES
        The scenes of the embedded model:
          concept-attention evaluate --output metrics.json
        Two methods and a baseline on PASCAL VOC, as the paper does it:
          concept-attention evaluate --dataset voc2012 --data VOC \\
            --model FLUX.1-schnell --protocol paper-voc-multi \\
            --method concept-attention,cross-attention,centre \\
            --output results/voc
        Everything on the scenes: all methods, every ablation, faithfulness:
          concept-attention evaluate --dataset scenes --method all \\
            --ablate all --faithfulness word --faithfulness-limit 10 \\
            --output results/scenes
        Maps of another program:
          concept-attention evaluate --dataset voc2012 --data VOC \\
            --maps maps --output scores.json
        Whether a data set is whole:
          concept-attention evaluate --dataset voc2012 --data VOC --check
      """)

  @Option(
    help: ArgumentHelp(
      """
      Folder with manifest.json, evaluation.json, pictures and masks; unless given, the scenes that come along with the \
      model, or with \(EmbeddedModel.tinyFlux.rawValue).
      """, valueName: "folder"))
  var scenes: String?

  @Option(
    help: ArgumentHelp(
      "Score the maps in this folder, an .npz with maps, concepts and id for each picture, without any model.",
      valueName: "folder"))
  var maps: String?

  @Option(
    help: ArgumentHelp("Pixels are background where no concept's softmax reaches this.", valueName: "probability"))
  var threshold: Double?

  @Flag(help: "Open every picture and mask of the data set, tell what is wrong, and measure nothing.")
  var check = false

  @Flag(help: "Print the scores of --maps as JSON.")
  var json = false

  @Option(
    name: [.customLong("protocol")],
    help: ArgumentHelp(
      """
      How figures are made: \(EvaluationProtocol.presets.map(\.name).joined(separator: ", ")), or a JSON file. Every run \
      leaves its own as protocol.json.
      """, valueName: "name or file"))
  var rules: String?

  @Flag(help: "Print the protocol as a JSON file to copy and change.")
  var printProtocol = false

  @Option(
    help: ArgumentHelp(
      """
      What makes the maps: all, or several with commas; the others are compared with the first. Methods: \
      \(MapMethod.all.map(\.name).joined(separator: ", ")); concept-attention:SPACE for SPACE of \
      \(SaliencySpace.allCases.map(\.rawValue).joined(separator: ", ")); baselines: \
      \(Baseline.allCases.map(\.rawValue).joined(separator: ", ")).
      """, valueName: "a,b,c"))
  var method: String?

  @Option(
    help: ArgumentHelp(
      """
      What to vary one at a time, each with a table and a plot of its own: all, or some of \
      \(Ablation.allCases.map(\.rawValue).joined(separator: ", ")).
      """, valueName: "a,b,c"))
  var ablate: String?

  @Option(
    help: ArgumentHelp(
      """
      Measure whether maps show where the model uses a concept: edges of attention are cut, those of the most marked \
      tokens first. Which edges, with commas: word (the tokens' sight of the concept's words), tokens (everybody's sight \
      of the tokens).
      """, valueName: "edges"))
  var faithfulness: String?

  @Option(help: ArgumentHelp("Measure faithfulness on the first pictures only.", valueName: "count"))
  var faithfulnessLimit: Int?

  @Option(help: ArgumentHelp("Keep the maps too, a folder of .npz files for each method.", valueName: "folder"))
  var saveMaps: String?

  @Option(help: ArgumentHelp("Only the first pictures of the data set.", valueName: "count"))
  var limit: Int?

  @Option(
    help: ArgumentHelp(
      """
      The folder for the results of --dataset: the table as report.html, Markdown, CSV and JSON, and what was counted of \
      every picture, so that a run that was cut off goes on. For --maps and scenes a JSON file; metrics.json for scenes \
      unless given.
      """, valueName: "folder or file"))
  var output: String?

  @OptionGroup(title: "Data set") var dataset: DatasetOptions
  @OptionGroup(title: "Several processes") var team: TeamOptions
  @OptionGroup(title: "Model") var model: ModelOptions

  func validate() throws {
    if output?.isEmpty ?? false { throw ValidationError("--output is empty: expected a name") }
    if let threshold, !(0...1).contains(threshold) {
      throw ValidationError("--threshold \(threshold): expected 0 to 1")
    }
    if check, dataset.dataset == nil { throw ValidationError("--check needs --dataset and --data") }
    if check, maps != nil { throw ValidationError("--check and --maps exclude each other") }
    if maps != nil, dataset.dataset == nil { throw ValidationError("--maps needs --dataset and --data") }
    let hasMaps = maps != nil, hasRun = dataset.dataset != nil && !hasMaps && !check
    let forRuns = "runs of methods on a --dataset", forBoth = forRuns + " and --maps"
    for (option, isGiven, isFitting, place) in [
      ("method", method != nil, hasRun, forRuns), ("ablate", ablate != nil, hasRun, forRuns),
      ("save-maps", saveMaps != nil, hasRun, forRuns), ("limit", limit != nil, hasRun, forRuns),
      ("faithfulness", faithfulness != nil, hasRun, forRuns), ("shard", team.isGiven, hasRun, forRuns),
      ("faithfulness-limit", faithfulnessLimit != nil, faithfulness != nil, "--faithfulness"),
      ("json", json, hasMaps, "--maps"), ("threshold", threshold != nil, hasRun || hasMaps, forBoth),
      ("protocol", rules != nil, hasRun || hasMaps || printProtocol, forBoth),
    ] where isGiven && !isFitting {
      throw ValidationError("--\(option) has no meaning here: it is for \(place)")
    }
    if let faithfulnessLimit, faithfulnessLimit < 1 {
      throw ValidationError("--faithfulness-limit \(faithfulnessLimit): expected at least 1")
    }
    if let limit, limit < 1 { throw ValidationError("--limit \(limit): expected at least 1") }
    if scenes != nil, dataset.dataset != nil { throw ValidationError("--scenes and --dataset exclude each other") }
  }

  func run() throws {
    var rules = try EvaluationProtocol(nameOrPath: rules ?? EvaluationProtocol.standard.name)
    if let threshold { rules.threshold = threshold }
    if printProtocol {
      print(rules.json)
    } else if check {
      try DatasetCheck(options: dataset).run()
    } else if let maps {
      try MapScoring(folder: maps, options: dataset, rules: rules, printsJSON: json, output: output).run()
    } else if dataset.dataset != nil {
      try measureMethods(rules)
    } else {
      try measureScenes()
    }
  }

  private func measureMethods(_ rules: EvaluationProtocol) throws {
    let method = method ?? MapMethod.conceptAttention.name
    guard let output else { throw InputError("--output is missing: the folder for the results") }
    let named = method == "all" ? EvaluationMethod.names : method.split(separator: ",").map(String.init)
    let methods = try named.map { try EvaluationMethod(named: $0.trimmingCharacters(in: .whitespaces)) }
    if methods.isEmpty { throw InputError("--method '\(method)' names no method") }
    if Set(methods.map(\.name)).count < methods.count { throw InputError("--method '\(method)' names a method twice") }
    try MethodEvaluation(
      options: dataset, rules: rules, methods: methods, model: model, output: output, saveMaps: saveMaps, limit: limit,
      ablations: try ablations(), faithfulness: try edges(), faithfulPictures: faithfulnessLimit, team: try team.team()
    ).run()
  }

  private func edges() throws -> [Faithfulness.Edges] {
    try (faithfulness ?? "").split(separator: ",").map { part in
      let name = part.trimmingCharacters(in: .whitespaces)
      guard let edges = Faithfulness.Edges(rawValue: name) else {
        let known = Faithfulness.Edges.allCases.map(\.rawValue).joined(separator: ", ")
        throw InputError("--faithfulness '\(name)': expected some of \(known)")
      }
      return edges
    }
  }

  private func ablations() throws -> [Ablation] {
    guard let ablate else { return [] }
    if ablate == "all" { return Ablation.allCases }
    return try ablate.split(separator: ",").map { part in
      let name = part.trimmingCharacters(in: .whitespaces)
      guard let ablation = Ablation(rawValue: name) else {
        let known = Ablation.allCases.map(\.rawValue).joined(separator: ", ")
        throw InputError("--ablate '\(name)': expected all, or some of \(known)")
      }
      return ablation
    }
  }

  private func measureScenes() throws {
    let output = output ?? "metrics.json"
    _ = try AtomicFile(path: output)  // finds out now that it cannot be written
    let pipeline = try model.open()
    let set = try SceneSet(folder: scenes ?? (EmbeddedModel(rawValue: model.model) ?? .tinyFlux).scenes)
    let progress = Progress("scene")
    let table = try set.evaluate(pipeline) { step in
      progress.show(step.done, of: step.total)
      try checkInterrupt()
    }
    progress.finish()
    try withoutInterrupts { try AtomicFile.write(Array(table.json()), to: output) }
    print(table.text)
    print(output)
  }
}
