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
  var scenes = EmbeddedModel.tinyFlux.scenes

  @Option(help: ArgumentHelp("File for the figures, as JSON.", valueName: "file"))
  var output = "metrics.json"

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    _ = try AtomicFile(path: output)  // finds out now that it cannot be written
    let pipeline = try model.open()
    let set = try SceneSet(folder: scenes)
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
