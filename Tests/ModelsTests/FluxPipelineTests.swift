import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import Testing

/// The pipeline's own rules, on the embedded model.
@Suite struct FluxPipelineTests {
  private func pipeline(_ options: CheckpointOptions = .init()) throws -> FluxPipeline {
    try FluxPipeline(FluxCheckpoint(folder: ModelFolder(nameOrFolder: "tiny-flux"), options))
  }

  private func request(_ prompts: [String], seeds: [UInt64]) -> GenerationRequest {
    var request = GenerationRequest()
    request.prompts = prompts
    request.seeds = seeds
    request.width = 48
    request.height = 32
    request.steps = 2
    return request
  }

  @Test func aPictureWithASeedOfItsOwnIsTheSameAloneAndInABatch() throws {
    let pipeline = try pipeline(), prompts = ["a red star", "a blue house on grass"]
    let together = try pipeline.generate(request(prompts, seeds: [3, 4]))
    #expect(together.frames.shape == [2, 1, 3, 32, 48])
    for index in 0..<2 {
      let alone = try pipeline.generate(request([prompts[index]], seeds: [3 + UInt64(index)]))
      #expect(together.frames[index].isIdentical(to: alone.frames[0]))
      #expect(together.image(index).isIdentical(to: alone.image()))
    }
    #expect(throws: RequestError.badSeeds(found: 1, expected: 2)) {
      try pipeline.generate(request(prompts, seeds: [3]))
    }
  }

  @Test func processorsAreToldWhereInTheRunTheyAre() throws {
    let pipeline = try pipeline(), spy = PassSpy()
    var guided = request(["a star", "a house"], seeds: [1, 2])
    (guided.trueCFG, guided.negativePrompt) = (2, "rain")
    try _ = pipeline.generate(guided, processors: [spy])
    let grid = TokenGrid(height: 4, width: 6)
    let expected = [(0, 1), (1, 0.5)].flatMap { step, sigma in
      [Pass.Branch.conditional, .unconditional].map {
        Pass(step: step, steps: 2, sigma: Float(sigma), timestep: Float(sigma) * 1000, branch: $0, grid: grid, batch: 2)
      }
    }
    #expect(spy.passes == expected)
  }

  @Test func aPlanSaysEverything() throws {
    let pipeline = try pipeline()
    var request = GenerationRequest("a star")
    request.width = 32
    request.height = 32
    let plan = try pipeline.plan(request)
    #expect(plan.steps == 24 && plan.levels.count == 24 && plan.size == FrameSize(height: 32, width: 32))
    #expect(plan.guidance == Guidance(classifierFree: .init(scale: 3, negativePrompt: "")))
    #expect(plan.maxSequenceLength == 16 && plan.seeds == .shared(0) && plan.clipSkip == 0)
    request.trueCFG = 1
    #expect(try pipeline.plan(request).guidance == Guidance())
    request.steps = 0
    #expect(throws: RequestError.badSteps(0)) { try pipeline.plan(request) }
    request = GenerationRequest("a star")
    request.frames = 2
    let frames = #expect(throws: RequestError.self) { try pipeline.plan(request) }
    #expect(frames?.description == "2 frames: expected 1: FLUX.1 makes pictures")
  }

  @Test func aPictureIsShownAtEveryLevelOfEveryDraw() throws {
    let pipeline = try pipeline()
    var request = InspectionRequest(image: Tensor(scalars: [UInt8](repeating: 99, count: 3072), shape: [32, 32, 3]))
    request.width = 32
    request.height = 32
    #expect(try pipeline.plan(request).levels == [NoiseLevel(sigma: 0.5, timestep: 500, step: 0, steps: 1)])
    request.noise = .steps([1, 3], of: 4)
    request.samples = 2
    let spy = PassSpy()
    var shown: [Tensor] = []
    try pipeline.inspect(request, processors: [spy]) { step in
      #expect(step.total == 4 && step.done == shown.count + 1)
      shown.append(step.latents)
    }
    #expect(spy.passes.map(\.step) == [1, 3, 1, 3] && spy.passes.map(\.sigma) == [0.75, 0.25, 0.75, 0.25])
    #expect(spy.passes.map(\.timestep) == [750, 250, 750, 250] && spy.passes.allSatisfy { $0.steps == 4 })
    // The same draw of noise at every level: what is left without it is the picture.
    let clean = pipeline.packed(pipeline.encodeFrames(request.frames))
    let noise = (shown[0] - clean * 0.25) / 0.75
    let expected = clean * 0.75 + noise * 0.25
    #expect((shown[1] - expected).absolute().amax().item < 1e-5)
    #expect(!shown[2].isIdentical(to: shown[0]))
    for (noise, error) in [
      (InspectionRequest.Noise.levels([0]), RequestError.badNoiseLevel(0)), (.levels([]), .noNoiseLevel),
      (.steps([4], of: 4), .badStep(4, steps: 4)), (.steps([], of: 4), .noNoiseLevel),
    ] {
      request.noise = noise
      #expect(throws: error) { try pipeline.plan(request) }
    }
    request.noise = .standard
    #expect(throws: RequestError.nobodyLooks) { try pipeline.inspect(request, processors: []) }
  }

  @Test func matricesAreUsedAsTheTypeAskedFor() throws {
    for type in [DType.f32, .bf16, .f16] {
      let pipeline = try pipeline(.init(weightType: type))
      let linears = [pipeline.flux.output, pipeline.flux.imageEmbedder]
      for linear in linears { #expect(linear.weight.tensor.dtype == type) }
      let picture = try pipeline.generate(request(["a star"], seeds: [1])).frames
      #expect(picture.amax().item > picture.amin().item)
    }
    let folder = try ModelFolder(nameOrFolder: "tiny-flux"), source = try folder.weights("transformer")
    let converted = ConvertedWeights(source, to: .f16)
    for name in source.names {
      let old = try source.parameter(name).tensor, new = try converted.parameter(name).tensor
      #expect(new.dtype == (old.rank < 2 ? old.dtype : .f16), "\(name)")
    }
  }

  @Test func generatedWeightsAreConvertedToo() throws {
    let layer = try load(from: ConvertedWeights(RandomWeights(seed: 1), to: .bf16)) { Linear(8, 4, $0) }
    let plain = try load(from: RandomWeights(seed: 1)) { Linear(8, 4, $0) }
    #expect(layer.weight.tensor.isIdentical(to: plain.weight.tensor.converted(to: .bf16)))
    #expect(layer.bias?.dtype == .f32)
  }

  @Test func aMergedWeightIsRoundedOnceToTheTypeAskedFor() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("lora-\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    var generator = Generator(seed: 1)
    let down = generator.randn([1, 128]) * 0.01, up = generator.randn([64, 1])
    try SafetensorsFile.write(["proj_out.lora_A.weight": down, "proj_out.lora_B.weight": up], to: path)
    let folder = try ModelFolder(nameOrFolder: "tiny-flux"), name = "proj_out.weight"
    let base = try folder.weights("transformer").parameter(name).tensor
    let exact = base.converted(to: .f32) + Tensor.matmul(up, down)
    for type in [DType.f32, .bf16] {
      let options = CheckpointOptions(loras: [LoRAFile(path: path)], weightType: type)
      let merged = try FluxCheckpoint(folder: folder, options).transformer().weights.parameter(name).tensor
      #expect(base.dtype == .bf16 && merged.isIdentical(to: exact.converted(to: type)))
    }
  }

  @Test func phrasesEncodedTogetherHaveTheBitsOfEachAlone() throws {
    let pipeline = try openPipeline("tiny-flux"), phrases = ["star", "a red square", "sky", "star", "moon"]
    // Two passes of the text encoder: 512 tokens each.
    let together = try pipeline.encodePhrases(phrases, maxSequenceLength: 512)
    #expect(together.map(\.text) == phrases)
    for (phrase, joint) in zip(phrases, together) {
      // Another pipeline: this one remembers.
      let alone = try openPipeline("tiny-flux").encodePhrases([phrase], maxSequenceLength: 512)[0]
      #expect(joint.states.isIdentical(to: alone.states) && joint.spans == alone.spans)
    }
    #expect(!together[0].states.isIdentical(to: together[2].states))
    #expect(try pipeline.encodePhrases([], maxSequenceLength: 8).isEmpty)
  }

  /// The mapping's resident pages, as the kernel counts them.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/smaps")))
  func textEncodersLeaveMemoryOncePromptsAreEncoded() throws {
    let copy = FileManager.default.temporaryDirectory.appendingPathComponent("tiny-\(UUID())").path
    try FileManager.default.copyItem(atPath: try EmbeddedModel.tinyFlux.folder, toPath: copy)
    defer { try? FileManager.default.removeItem(atPath: copy) }
    let pipeline = try FluxPipeline(folder: ModelFolder(copy)), weights = "\(copy)/text_encoder_2/model.safetensors"
    _ = try pipeline.encodePhrases(["star"])
    #expect(try residentKilobytes(of: weights) > 0)
    _ = try pipeline.generate(request(["a star"], seeds: [1]))
    #expect(try residentKilobytes(of: weights) == 0)
  }

  private func residentKilobytes(of path: String) throws -> Int {
    let maps = try #require(try FileHandle(forReadingAtPath: "/proc/self/smaps")?.readToEnd())
    let lines = String(decoding: maps, as: UTF8.self).split(separator: "\n")
    var isMapping = false, total = 0
    for line in lines {
      if line.contains("-"), line.contains(" r") { isMapping = line.hasSuffix(path) }
      if isMapping, line.hasPrefix("Rss:") { total += Int(line.split(separator: " ")[1]) ?? 0 }
    }
    return total
  }
}

private final class PassSpy: AttentionProcessor {
  private(set) var passes: [Pass] = []
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.read("double.0.image.query", in: .every) { _, _, pass in self.passes.append(pass) }
  }
}
