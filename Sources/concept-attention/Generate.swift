import ArgumentParser
import Artifacts
import ConceptAttention
import Foundation
import Models
import NN
import Tensor

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generates a picture and a map for each concept.",
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
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String?

  @OptionGroup(title: "Prompt") var words: PromptOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Run") var settings: RunOptions
  @OptionGroup(title: "Concepts") var concepts: ConceptOptions
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

  func run() throws {
    let prompt = prompt ?? words.prompt ?? "", names = try concepts.names(prompt: prompt)
    var clock = CommandClock()
    let pipeline = try model.open()
    clock.end(\.opening)
    let request = try resolved(prompt, pipeline)
    let options = try concepts.options(for: pipeline, steps: stepSet(picture.timesteps, of: request.steps ?? 1))
    try output.withWriter { writer in
      clock.end(\.opening)
      let set = try concepts.encoded(names, by: pipeline, maxSequenceLength: request.maxSequenceLength)
      clock.end(\.concepts)
      try checkInterrupt()
      let method = ConceptAttention(set, options: options), recorder = try output.recorder(method, pipeline)
      let processors = [method] + (recorder.map { [$0.processor] } ?? [])
      let progress = Progress("generating, step")
      let result = try pipeline.generate(request, processors: processors) { step in
        progress.show(step.done, of: step.total)
        recorder?.record(step)
        try checkInterrupt()
      }
      progress.finish()
      clock.add(result.seconds)
      let metadata = try metadata(request, names, options, pipeline, clock.seconds)
      try withoutInterrupts { try write(result, method.maps(), metadata, writer, recorder) }
    }
  }

  private func resolved(_ prompt: String, _ pipeline: any ImagePipeline) throws -> GenerationRequest {
    var request = GenerationRequest(prompt)
    request.prompts = [String](repeating: prompt, count: picture.images)
    request.seeds = (0..<picture.images).map { picture.seed &+ UInt64($0) }
    request.seed = picture.seed
    let asksForGuidance = picture.trueCfg.map { $0 > 1 } ?? false
    request.negativePrompt = words.negativePrompt ?? (asksForGuidance ? "" : nil)
    request.width = picture.width
    request.height = picture.height
    request.steps = picture.steps
    request.guidance = picture.guidance
    request.trueCFG = picture.trueCfg
    request.maxSequenceLength = picture.maxSequenceLength
    try settings.apply(to: &request)
    let result = try pipeline.resolved(request)
    if words.negativePrompt != nil, result.negativePrompt == nil {
      throw InputError(
        "--negative-prompt would not be used: it needs --true-cfg, or with Stable Diffusion 3 --guidance, above 1")
    }
    return result
  }

  private func metadata(
    _ request: GenerationRequest, _ names: [String], _ options: ConceptAttentionOptions, _ pipeline: any ImagePipeline,
    _ seconds: RunMetadata.Seconds
  ) throws -> RunMetadata {
    let width = request.width ?? 0, height = request.height ?? 0
    return RunMetadata(
      command: "generate", model: try .init(model), prompt: request.prompts[0], negativePrompt: request.negativePrompt,
      concepts: names, width: width, height: height, steps: request.steps, guidance: request.guidance,
      trueCFG: request.trueCFG, startingImage: settings.image, strength: request.startingImage?.strength,
      skipLayers: request.skipLayers.map { .init($0) }, clipSkip: request.clipSkip,
      noiseLevels: try pipeline.noiseLevels(request), seed: request.seed,
      maxSequenceLength: request.maxSequenceLength, maps: .init(concepts, options), seconds: seconds)
  }

  /// One picture goes into the folder itself, several into folders of their own.
  private func write(
    _ result: GenerationResult, _ maps: SaliencyMaps, _ metadata: RunMetadata, _ writer: ArtifactWriter,
    _ recorder: TensorRecorder?
  ) throws {
    var runs: [RunMetadata] = [], paths: [String] = []
    for index in 0..<picture.images {
      var run = metadata
      run.seed = metadata.seed &+ UInt64(index)
      let folder = picture.images == 1 ? output.output : "\(output.output)/seed-\(run.seed)"
      paths += try ArtifactWriter(folder: folder, colorMap: output.colorMap)
        .write(image: result.bytes(picture: index), maps: maps, title: run.prompt, metadata: run, picture: index)
      runs.append(run)
    }
    if let recorder {
      try recorder.write(maps, run: metadata)
      paths.append(recorder.path)
    }
    try output.report(runs, paths)
  }
}
