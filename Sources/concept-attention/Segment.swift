import ArgumentParser
import Artifacts
import ConceptAttention
import Formats
import Models
import Tensor

struct Segment: ExplorableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Maps concepts in a picture or video you have.",
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
        A video, every third of its frames:
          concept-attention segment clip.mp4 --model CogVideoX-2b \\
            --concepts boat,sea --every 3
      """)

  @Argument(
    help: """
      A PNG or JPEG file; with a model of videos also an animated GIF, a folder of pictures in the order of their names, \
      or a video file that the program 'ffmpeg' reads.
      """)
  var picture: String

  @OptionGroup(title: "Looking") var looking: LookingOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
  @OptionGroup(title: "Interventions") var interventions: InterventionOptions
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

    @Option(
      help: ArgumentHelp(
        "Frames of a video to look at, from its first on; as many as it has, at most the model's, unless given.",
        valueName: "count"))
    var frames: Int?

    @Option(help: ArgumentHelp("Look at every so manieth frame of a video; 1 unless given.", valueName: "count"))
    var every: Int?

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
      for (name, value) in [("frames", frames), ("every", every)] {
        if let value, !(1...1024).contains(value) { throw ValidationError("--\(name) \(value): expected 1 to 1024") }
      }
      if let guidance, !guidance.isFinite {
        throw ValidationError("--guidance \(guidance): expected a finite number")
      }
      if steps != nil, timesteps == nil {
        throw ValidationError("--steps needs --timesteps, which chooses among them")
      }
    }
  }

  func check(_ pipeline: any DiffusionPipeline) throws {
    _ = try (concepts.names(prompt: looking.prompt), concepts.mapMethod(), interventions.interventions())
    let source = try SourceFootage(picture, every: looking.every ?? 1, most: looking.frames ?? 1024)
    _ = try pipeline.plan(request(source.frames(for: pipeline, asked: looking.frames), pipeline))
    _ = try concepts.options(for: pipeline, steps: nil)
  }

  func run(in context: RunContext) throws {
    let names = try concepts.names(prompt: looking.prompt)
    // Read before the model is opened, so that a wrong file is told at once.
    let source = try SourceFootage(picture, every: looking.every ?? 1, most: looking.frames ?? 1024)
    var run = try MapRun(model, concepts, interventions, output, names: names, in: context)
    let pipeline = run.pipeline, frames = try source.frames(for: pipeline, asked: looking.frames)
    let plan = try pipeline.plan(request(frames, pipeline))
    let options = try concepts.options(for: pipeline, steps: nil)
    let maps = MapRequest(
      pipeline, concepts: names, prompt: looking.prompt, maxSequenceLength: plan.maxSequenceLength, options: options)
    var metadata = RunMetadata(
      command: "segment", model: try .init(model), prompt: looking.prompt, picture: picture, concepts: names,
      seed: looking.seed, plan: .inspection(plan), maps: .init(concepts, options))
    metadata.interventions = interventions.texts
    try run.run(
      maps, needs: try needs(plan, pipeline, frames, concepts: names.count), seeds: [looking.seed],
      progress: "looking, pass", title: picture,
      expecting: {
        try pipeline.expect(
          prompts: [plan.prompt], phrases: $0, maxSequenceLength: plan.maxSequenceLength, clipSkip: 0)
      }, metadata: metadata, looksEverywhere: false,
      picture: { _ in frames[0].contiguous() }
    ) { processors, _, onStep in
      let result = try pipeline.inspect(plan, processors: processors, onStep: onStep)
      let footage = try output.footage(frames, pipeline, rate: source.framesPerSecond)
      return .init(footage: [(footage, looking.seed)], seconds: result.seconds)
    }
  }

  /// As a generation of the same size: encoding takes what decoding does.
  private func needs(
    _ plan: InspectionPlan, _ pipeline: any DiffusionPipeline, _ source: Tensor, concepts: Int
  ) throws -> RunNeeds {
    var request = GenerationRequest(looking.prompt)
    (request.width, request.height) = (plan.size.width, plan.size.height)
    request.frames = plan.size.frames
    request.standInForImage(pipeline)
    var needs = RunNeeds(
      try pipeline.plan(request), pipeline, concepts: concepts, steps: plan.levels.count,
      pictures: (1, source.shape[1] * source.shape[2]))
    needs.frames = plan.size.frames
    return needs
  }

  private func request(_ source: Tensor, _ pipeline: any DiffusionPipeline) throws -> InspectionRequest {
    var request = InspectionRequest(frames: source)
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
