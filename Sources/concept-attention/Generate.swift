import ArgumentParser
import ConceptAttention
import Foundation
import Models
import Tensor

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generates a picture and a map for each concept.",
    discussion: """
      Without --concepts the prompt's content words are taken. Size, steps and guidance default to what suits the model.

        concept-attention generate "a boat on the sea" --concepts boat,sea,sky --seed 3 --output boat
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String?

  @Option(name: .customLong("prompt"), help: "The same, as an option.")
  var promptOption: String?

  @Option(help: "What the picture should not show; used with --true-cfg above 1.")
  var negativePrompt: String?

  @Option(help: "Pixels.")
  var width: Int?

  @Option(help: "Pixels.")
  var height: Int?

  @Option(help: "Denoising steps.")
  var steps: Int?

  @Option(help: "Guidance scale of a guidance-distilled model (FLUX.1-dev).")
  var guidance: Float?

  @Option(help: "Scale of classifier-free guidance with the negative prompt; 1 for none.")
  var trueCfg: Float?

  @Option(help: "Seed of the noise; gives the noise that diffusers draws.")
  var seed: UInt64 = 0

  @Option(help: "Steps whose maps are averaged, such as 2,3 or 10-19; all unless given.")
  var timesteps: String?

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  func run() throws {
    guard let prompt = prompt ?? promptOption else {
      throw ValidationError("no prompt: concept-attention generate \"a boat on the sea\"")
    }
    let start = Date(), pipeline = try model.open(), names = try concepts.names(prompt: prompt)
    let writer = try ArtifactWriter(folder: output.output, colorMap: output.colorMap)
    let chosenSteps = try timesteps.map { try indexSet($0, option: "--timesteps") }
    let processor = try concepts.processor(pipeline, names: names, steps: chosenSteps)
    var request = GenerationRequest(prompt)
    request.negativePrompt = negativePrompt
    request.width = width
    request.height = height
    request.steps = steps
    request.guidance = guidance
    request.trueCFG = trueCfg
    request.seed = seed

    let progress = Progress("generating, step")
    var total = 0
    let result = try pipeline.generate(request, processors: [processor]) { step in
      total = step.total
      progress.show(step.done, of: step.total)
      try checkInterrupt()
    }
    progress.finish()
    let image = result.bytes(), settings = processor.options
    let metadata = RunMetadata(
      command: "generate", model: model.model, prompt: prompt, negativePrompt: negativePrompt, concepts: names,
      width: image.shape[1], height: image.shape[0], steps: total, guidance: guidance ?? pipeline.defaults.guidance,
      trueCFG: trueCfg ?? pipeline.defaults.trueCFG, seed: seed, layers: settings.layers?.sorted(),
      timesteps: settings.steps?.sorted(), space: concepts.space.rawValue,
      normalization: settings.normalization.rawValue, conceptTokens: concepts.conceptTokens.rawValue,
      reads: settings.reads.rawValue, seconds: Date().timeIntervalSince(start))
    try report(
      metadata, try writer.write(image: image, maps: processor.maps(), title: prompt, metadata: metadata), output)
  }
}

/// The paths on standard output, or what was done as JSON.
func report(_ metadata: RunMetadata, _ paths: [String], _ output: OutputOptions) throws {
  guard output.json else {
    for path in paths { print(path) }
    return
  }
  struct Report: Encodable {
    var run: RunMetadata
    var files: [String]
  }
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(Report(run: metadata, files: paths)), as: UTF8.self))
}
