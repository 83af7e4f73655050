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
      Shows every picture of a set of scenes to the model once per noise level and scores the maps of attention \
      outputs and of both directions of cross-attention, per layer and together: accuracy, IoU and average precision.

      EXAMPLE
          concept-attention evaluate --output metrics.json
      """)

  @Option(
    help: ArgumentHelp(
      "Folder with manifest.json, evaluation.json, pictures and masks; the scenes that come along unless given.",
      valueName: "folder"))
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
    help: ArgumentHelp(
      "File for the figures, as JSON; metrics.json for scenes unless given.", valueName: "file"))
  var output: String?

  @OptionGroup(title: "Data set") var dataset: DatasetOptions
  @OptionGroup(title: "Model") var model: ModelOptions

  func validate() throws {
    if let threshold, !(0...1).contains(threshold) {
      throw ValidationError("--threshold \(threshold): expected 0 to 1")
    }
    if check, dataset.dataset == nil { throw ValidationError("--check needs --dataset and --data") }
    if check, maps != nil { throw ValidationError("--check and --maps exclude each other") }
    if maps != nil, dataset.dataset == nil { throw ValidationError("--maps needs --dataset and --data") }
    if scenes != nil, dataset.dataset != nil { throw ValidationError("--scenes and --dataset exclude each other") }
  }

  func run() throws {
    var rules = ScoringRules()
    if let threshold { rules.threshold = threshold }
    if check {
      try DatasetCheck(options: dataset).run()
    } else if let maps {
      try MapScoring(folder: maps, options: dataset, rules: rules, printsJSON: json, output: output).run()
    } else {
      try measureScenes()
    }
  }

  private func measureScenes() throws {
    let output = output ?? "metrics.json"
    _ = try AtomicFile(path: output)  // finds out now that it cannot be written
    let pipeline = try model.open()
    let set = try SceneSet(folder: scenes ?? EmbeddedModel.tinyFlux.scenes)
    let progress = Progress("scene")
    let table = try evaluate(pipeline: pipeline, scenes: set) { step in
      progress.show(step.done, of: step.total)
      try checkInterrupt()
    }
    progress.finish()
    try withoutInterrupts { try AtomicFile.write(Array(table.json()), to: output) }
    print(table.text)
    print(output)
  }
}
