import ArgumentParser
import Artifacts
import ConceptAttention
import Formats
import Foundation
import Models
import NN
import Tensor

struct Segment: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Maps concepts in a picture you have.",
    discussion: """
      The picture is encoded, noised to a level, and shown to the transformer once per sample, as far as the last \
      layer that is looked at. Name what else is in the picture among the concepts: the maps compete.

      EXAMPLES
        A photo, five draws of noise:
          concept-attention segment photo.jpg --model FLUX.1-schnell \\
            --concepts cat,sofa,wall --samples 5
        As the paper's tables were made:
          concept-attention segment photo.jpg --model FLUX.1-schnell \\
            --concepts cat,sofa,wall --preset paper
        At the noise levels of steps 10 to 19 of 28, each with maps of its own:
          concept-attention segment photo.jpg --model FLUX.1-dev \\
            --concepts cat,sofa,wall --steps 28 --timesteps 10-19
      """)

  @Argument(help: "A PNG or JPEG file.")
  var picture: String

  @OptionGroup(title: "Looking") var looking: LookingOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Model") var model: ModelOptions

  struct LookingOptions: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "What the picture shows; its content words are the concepts unless named.", valueName: "prompt"))
    var prompt = ""

    @Option(help: ArgumentHelp("Width the picture is resized to; the model's unless given.", valueName: "pixels"))
    var width: Int?

    @Option(help: ArgumentHelp("Height the picture is resized to; the model's unless given.", valueName: "pixels"))
    var height: Int?

    @Option(help: ArgumentHelp("How much noise is mixed in, above 0 and at most 1.", valueName: "level"))
    var noise: Float?

    @Option(
      help: ArgumentHelp(
        "Steps of a generation whose noise levels are looked at, such as 10-19, in place of --noise. Counted from 0.",
        valueName: "steps"))
    var timesteps: String?

    @Option(help: ArgumentHelp("Steps of that generation; the model's default unless given.", valueName: "count"))
    var steps: Int?

    @Option(help: ArgumentHelp("Draws of noise to average over; 1 unless given.", valueName: "count"))
    var samples: Int?

    @Option(
      help: ArgumentHelp("Guidance told to a distilled model; 0 unless given, as the authors do.", valueName: "scale"))
    var guidance: Float?

    @Option(
      help: ArgumentHelp("Seed of the first draw of noise; the next draws count on from it.", valueName: "number"))
    var seed: UInt64 = 0

    @Option(help: ArgumentHelp("Tokens the prompt is cut or padded to.", valueName: "tokens"))
    var maxSequenceLength: Int?

    func validate() throws {
      if noise != nil, timesteps != nil { throw ValidationError("--noise and --timesteps both set the noise level") }
      if let guidance, !guidance.isFinite {
        throw ValidationError("--guidance \(guidance): expected a finite number")
      }
      if steps != nil, timesteps == nil {
        throw ValidationError("--steps needs --timesteps, which chooses among them")
      }
    }
  }

  func run() throws {
    let names = try concepts.names(prompt: looking.prompt), source = try Image.read(path: picture)
    var clock = CommandClock()
    let pipeline = try model.open()
    let request = try pipeline.resolved(request(source, pipeline))
    let options = try concepts.options(for: pipeline, steps: nil)
    try output.withWriter { writer in
      clock.end(\.opening)
      let set = try concepts.encoded(names, by: pipeline, maxSequenceLength: request.maxSequenceLength)
      clock.end(\.concepts)
      try checkInterrupt()
      let method = ConceptAttention(set, options: options), recorder = try output.recorder(method, pipeline)
      let progress = Progress("looking, pass")
      let processors = [method] + (recorder.map { [$0.processor] } ?? [])
      let result = try pipeline.observe(request, processors: processors) { step in
        progress.show(step.done, of: step.total)
        recorder?.record(step)
        try checkInterrupt()
      }
      progress.finish()
      clock.add(result.seconds)
      let metadata = try metadata(request, names, options, pipeline, clock.seconds)
      try withoutInterrupts {
        var paths = try writer.write(image: source, maps: method.maps(), title: picture, metadata: metadata)
        if let recorder {
          try recorder.write(method.maps(), run: metadata)
          paths.append(recorder.path)
        }
        try output.report([metadata], paths)
      }
    }
  }

  private func request(_ source: Tensor, _ pipeline: any ImagePipeline) throws -> ObservationRequest {
    var request = ObservationRequest(image: source)
    if concepts.preset == .paper { request.usePaperSettings() }
    request.prompt = looking.prompt
    request.width = looking.width
    request.height = looking.height
    if let noise = looking.noise { request.noiseLevels = [NoiseLevel(noise)] }
    if let timesteps = looking.timesteps {
      var generation = GenerationRequest("")
      (generation.steps, generation.width, generation.height) = (looking.steps, looking.width, looking.height)
      let levels = try pipeline.noiseLevels(generation)
      let chosen = try stepSet(timesteps, of: levels.count) ?? []
      request.noiseLevels = chosen.sorted().map { NoiseLevel(levels[$0], step: $0) }
    }
    if let samples = looking.samples { request.samples = samples }
    request.guidance = looking.guidance
    request.seed = looking.seed
    request.maxSequenceLength = looking.maxSequenceLength
    return request
  }

  private func metadata(
    _ request: ObservationRequest, _ names: [String], _ options: ConceptAttentionOptions, _ pipeline: any ImagePipeline,
    _ seconds: RunMetadata.Seconds
  ) throws -> RunMetadata {
    var steps: Int?, maps = RunMetadata.Maps(concepts, options)
    if looking.timesteps != nil {
      steps = try looking.steps ?? pipeline.resolved(GenerationRequest("")).steps
      maps.timesteps = request.noiseLevels.map(\.step)
    }
    return RunMetadata(
      command: "segment", model: try .init(model), prompt: looking.prompt, picture: picture, concepts: names,
      width: request.width ?? 0, height: request.height ?? 0, steps: steps, guidance: request.guidance,
      noiseLevels: request.noiseLevels.map(\.sigma), samples: request.samples, seed: request.seed,
      maxSequenceLength: request.maxSequenceLength, maps: maps, seconds: seconds)
  }
}
