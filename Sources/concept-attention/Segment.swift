import ArgumentParser
import Artifacts
import ConceptAttention
import Formats
import Models
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
    var run = try MapRun(model, concepts, output, names: names)
    let pipeline = run.pipeline, plan = try pipeline.plan(request(source, pipeline))
    let options = try concepts.options(for: pipeline, steps: nil)
    let maps = MapRequest(
      pipeline, concepts: names, prompt: looking.prompt, maxSequenceLength: plan.maxSequenceLength, options: options)
    let metadata = RunMetadata(
      command: "segment", model: try .init(model), prompt: looking.prompt, picture: picture, concepts: names,
      seed: looking.seed, plan: .inspection(plan), maps: .init(concepts, options))
    try run.run(
      maps, needs: try needs(plan, pipeline, source, concepts: names.count), seeds: [looking.seed],
      progress: "looking, pass", title: picture, metadata: metadata
    ) { processors, onStep in
      let result = try pipeline.inspect(plan, processors: processors, onStep: onStep)
      return .init(images: [(source, looking.seed)], seconds: result.seconds)
    }
  }

  /// As a generation of one picture of the same size: encoding takes what decoding does.
  private func needs(
    _ plan: InspectionPlan, _ pipeline: any DiffusionPipeline, _ source: Tensor, concepts: Int
  ) throws -> RunNeeds {
    var request = GenerationRequest(looking.prompt)
    (request.width, request.height) = (plan.size.width, plan.size.height)
    request.frames = plan.size.frames
    return RunNeeds(
      try pipeline.plan(request), pipeline, concepts: concepts, steps: plan.levels.count,
      pictures: (1, source.shape[0] * source.shape[1]))
  }

  private func request(_ source: Tensor, _ pipeline: any DiffusionPipeline) throws -> InspectionRequest {
    var request = InspectionRequest(image: source)
    if concepts.preset == .paper { request.usePaperSettings() }
    request.prompt = looking.prompt
    request.width = looking.width
    request.height = looking.height
    if let noise = looking.noise { request.noise = .levels([noise]) }
    if let timesteps = looking.timesteps {
      request.noise = .steps(try indexSet(timesteps, option: "--timesteps").sorted(), of: looking.steps)
    }
    if let samples = looking.samples { request.samples = samples }
    request.guidance = looking.guidance
    request.seed = looking.seed
    request.maxSequenceLength = looking.maxSequenceLength
    return request
  }
}
