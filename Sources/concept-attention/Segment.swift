import ArgumentParser
import ConceptAttention
import Foundation
import Models
import Tensor

struct Segment: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Maps concepts in a picture you have.",
    discussion: """
      The picture is encoded, noised to a level, and shown to the transformer once per sample, as far as the last layer
      that is looked at. Name what else is in the picture among the concepts: the maps compete.

        concept-attention segment photo.jpg --concepts cat,sofa,wall --samples 5
      """)

  @Argument(help: "A PNG or JPEG file.")
  var picture: String

  @Option(help: "What the picture shows; empty unless given.")
  var prompt = ""

  @Option(help: "Pixels the picture is resized to.")
  var width: Int?

  @Option(help: "Pixels the picture is resized to.")
  var height: Int?

  @Option(help: "How much noise is mixed in, above 0 and at most 1.")
  var noise: Float?

  @Option(help: "Draws of noise to average over.")
  var samples = 1

  @Option(help: "Guidance scale told to a guidance-distilled model.")
  var guidance: Float?

  @Option(help: "Seed of the first draw of noise; the next draws count on from it.")
  var seed: UInt64 = 0

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  func run() throws {
    let start = Date(), names = try concepts.names(prompt: prompt.isEmpty ? nil : prompt)
    let source = try Image.read(path: picture), pipeline = try model.open()
    let writer = try ArtifactWriter(folder: output.output, colorMap: output.colorMap)
    let processor = try concepts.processor(pipeline, names: names, steps: nil)
    var request = ObservationRequest(image: source)
    request.prompt = prompt
    request.width = width
    request.height = height
    request.noiseLevel = noise
    request.samples = samples
    request.guidance = guidance
    request.seed = seed

    let progress = Progress("looking, sample")
    var level: Float = 0
    try pipeline.observe(request, processors: [processor]) { step in
      level = step.sigma
      progress.show(step.done, of: step.total)
      try checkInterrupt()
    }
    progress.finish()
    let settings = processor.options
    let metadata = RunMetadata(
      command: "segment", model: model.model, prompt: prompt, picture: picture, concepts: names,
      width: source.shape[1], height: source.shape[0], guidance: guidance, noiseLevel: level, samples: samples,
      seed: seed, layers: settings.layers?.sorted(), space: concepts.space.rawValue,
      normalization: settings.normalization.rawValue, conceptTokens: concepts.conceptTokens.rawValue,
      reads: settings.reads.rawValue, seconds: Date().timeIntervalSince(start))
    try report(
      metadata, try writer.write(image: source, maps: processor.maps(), title: picture, metadata: metadata), output)
  }
}
