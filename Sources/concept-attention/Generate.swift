import ArgumentParser
import Artifacts
import ConceptAttention
import Foundation
import Models
import Tensor

struct Generate: ExplorableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generates a picture or video and a map for each concept.",
    discussion: """
      Concepts are the prompt's content words unless --concepts names them. Size, steps and guidance are what suits \
      the model unless given. A seed gives the picture that diffusers gives for it, and looking at it does not change it. \
      How the maps differ by layer and step is in report.html.

      EXAMPLES
        The model that comes along, into the folder 'boat':
          concept-attention generate "a boat on the sea" \\
            --concepts boat,sea,sky --seed 3 --output boat
        FLUX.1-schnell, maps of its later layers, four pictures:
          concept-attention generate "a cat on a sofa" \\
            --model FLUX.1-schnell --layers 15-18 --images 4
        A quantised transformer with a LoRA at half strength:
          concept-attention generate "a cat" --model FLUX.1-dev \\
            --transformer flux1-dev-Q8_0.gguf --lora ink.safetensors:0.5
        A video with a map of every concept in every frame:
          concept-attention generate "a boat drifts by" \\
            --model CogVideoX-2b --concepts boat,sea --frames 17
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String?

  @OptionGroup(title: "Prompt") var words: PromptOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Run") var settings: RunOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
  @OptionGroup(title: "Interventions") var interventions: InterventionOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Model") var model: ModelOptions

  struct PromptOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The prompt as an option rather than as an argument.", valueName: "prompt"))
    var prompt: String?

    @Option(
      help: ArgumentHelp("What the picture should not show; takes effect with --true-cfg above 1.", valueName: "prompt")
    )
    var negativePrompt: String?
  }

  struct PictureOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Width, for FLUX.1 a multiple of 16.", valueName: "pixels"))
    var width: Int?

    @Option(help: ArgumentHelp("Height, for FLUX.1 a multiple of 16.", valueName: "pixels"))
    var height: Int?

    @Option(
      help: ArgumentHelp(
        "Frames of a video; the model's unless given. CogVideoX makes 4 n + 1, at least as many as asked for.",
        valueName: "count"))
    var frames: Int?

    @Option(help: ArgumentHelp("Denoising steps.", valueName: "count"))
    var steps: Int?

    @Option(
      help: ArgumentHelp(
        "What a distilled model such as FLUX.1-dev is told; with Stable Diffusion 3 the same as --true-cfg.",
        valueName: "scale"))
    var guidance: Float?

    @Option(
      help: ArgumentHelp(
        "Classifier-free guidance away from the negative prompt; 1 for none. Doubles the time.", valueName: "scale"))
    var trueCfg: Float?

    @Flag(
      help: "Let the scale of guidance grow along the steps, as CogVideoX 5B was meant to be run; it begins at 1.")
    var dynamicGuidance = false

    @Option(help: ArgumentHelp("Seed of the noise; another seed, another picture.", valueName: "number"))
    var seed: UInt64 = 0

    @Option(
      help: ArgumentHelp(
        "Pictures in one go, of this seed and the next ones, each in a folder of its own.", valueName: "count"))
    var images = 1

    @Option(
      help: ArgumentHelp(
        "Steps whose maps are averaged, counted from 0, such as 2,3 or 10-19; all unless given.", valueName: "steps"))
    var timesteps: String?

    @Option(help: ArgumentHelp("Tokens the prompt is cut or padded to.", valueName: "tokens"))
    var maxSequenceLength: Int?

    func validate() throws {
      for (name, value) in [("guidance", guidance), ("true-cfg", trueCfg)] {
        if let value, !value.isFinite { throw ValidationError("--\(name) \(value): expected a finite number") }
      }
      if !(1...256).contains(images) { throw ValidationError("--images \(images): expected 1 to 256") }
    }
  }

  func validate() throws {
    if prompt != nil, words.prompt != nil {
      throw ValidationError("the prompt is given twice, with and without --prompt")
    }
    if prompt == nil, words.prompt == nil {
      throw ValidationError("no prompt: concept-attention generate \"a boat on the sea\"")
    }
  }

  func check(_ pipeline: any DiffusionPipeline) throws {
    let prompt = prompt ?? words.prompt ?? "", plan = try plan(prompt, pipeline)
    _ = try (concepts.names(prompt: prompt), concepts.mapMethod(), interventions.interventions())
    _ = try concepts.options(for: pipeline, steps: stepSet(picture.timesteps, of: plan.steps))
  }

  func run(in context: RunContext) throws {
    let prompt = prompt ?? words.prompt ?? "", names = try concepts.names(prompt: prompt)
    var run = try MapRun(model, concepts, interventions, output, names: names, in: context)
    let pipeline = run.pipeline, plan = try plan(prompt, pipeline)
    let options = try concepts.options(for: pipeline, steps: stepSet(picture.timesteps, of: plan.steps))
    let maps = MapRequest(
      pipeline, concepts: names, prompt: prompt, maxSequenceLength: plan.maxSequenceLength, options: options)
    var metadata = RunMetadata(
      command: "generate", model: try .init(model), prompt: prompt, startingImage: settings.image, concepts: names,
      seed: picture.seed, plan: .generation(plan), maps: .init(concepts, options))
    metadata.interventions = interventions.texts
    let seeds = (0..<picture.images).map { picture.seed &+ UInt64($0) }
    if settings.resume, output.saveTensors != nil {
      throw InputError("--save-tensors writes the tensors of every step: a run that goes on does not have them all")
    }
    let state = try RunState(folder: output.output, metadata, interval: settings.saveEvery)
    let needs = RunNeeds(
      plan, pipeline, concepts: names.count, steps: plan.steps,
      pictures: (seeds.count, plan.size.height * plan.size.width))
    let key = try traceKey(plan), known = key.flatMap { context.traces?[$0] }
    try run.run(
      maps, needs: needs, seeds: seeds,
      progress: known == nil ? "generating, step" : "looking again at the steps of a picture that is known, step",
      title: prompt, expecting: { try pipeline.expect(plan, phrases: $0) }, metadata: metadata,
      looksEverywhere: known == nil && plan.blockCache == nil, state: state, resumes: settings.resume,
      picture: { known?.image ?? $0.clean.map { pipeline.preview($0, plan, side: 256) } }
    ) { processors, state, onStep in
      if let known {
        let result = try pipeline.revisit(plan, latents: known.latents, processors: processors, onStep: onStep)
        return .init(footage: [(try Footage(known.image), picture.seed)], seconds: result.seconds)
      }
      var latents: [Tensor] = []
      let result = try pipeline.generate(plan, processors: processors, resuming: state) { step in
        if context.traces != nil { latents.append(step.before) }
        try onStep(step)
      }
      if !output.allowsNonfinite { try FiniteGuard.check(result) }
      if let key { context.traces?.keep(.init(latents: latents, image: result.image(0)), for: key) }
      return .init(
        footage: try seeds.enumerated().map { (try output.footage(result.video($0), pipeline), $1) },
        seconds: result.seconds, blocks: result.blocks)
    }
  }

  /// Of all that decides the picture: runs of the same key differ in what is looked for in it. nil where latents alone are
  /// not all there is to look at again.
  private func traceKey(_ plan: GenerationPlan) throws -> String? {
    guard picture.images == 1, plan.size.frames == 1, settings.image == nil, output.saveTensors == nil, !settings.resume
    else { return nil }
    let plan = try RunMetadata.encoder().encode(plan)
    return String(decoding: plan, as: UTF8.self) + interventions.texts.joined(separator: "\n")
  }

  private func plan(_ prompt: String, _ pipeline: any DiffusionPipeline) throws -> GenerationPlan {
    var request = GenerationRequest(prompt)
    request.prompts = [String](repeating: prompt, count: picture.images)
    request.seeds = (0..<picture.images).map { picture.seed &+ UInt64($0) }
    let asksForGuidance = picture.trueCfg.map { $0 > 1 } ?? false
    request.negativePrompt = words.negativePrompt ?? (asksForGuidance ? "" : nil)
    request.width = picture.width
    request.height = picture.height
    request.frames = picture.frames
    request.steps = picture.steps
    request.usesDynamicGuidance = picture.dynamicGuidance
    request.guidance = picture.guidance
    request.trueCFG = picture.trueCfg
    request.maxSequenceLength = picture.maxSequenceLength
    try settings.apply(to: &request)
    let plan = try pipeline.plan(request)
    if words.negativePrompt != nil, plan.guidance.classifierFree == nil {
      throw InputError(
        "--negative-prompt would not be used: it needs --true-cfg, or with Stable Diffusion 3 --guidance, above 1")
    }
    if let guidance = picture.guidance, case .none = pipeline.settings.guidance {
      throw InputError("--guidance \(guidance) would not be used: this model is not told a scale; see --true-cfg")
    }
    return plan
  }
}
