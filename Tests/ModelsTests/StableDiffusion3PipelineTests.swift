import EmbeddedModels
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

@Suite struct StableDiffusion3PipelineTests {
  private let pipeline: any DiffusionPipeline

  init() throws { pipeline = try openPipeline(TinySD3.pipelineFolder()) }

  private func request(_ change: (inout GenerationRequest) -> Void = { _ in }) -> GenerationRequest {
    var request = GenerationRequest("a boat")
    request.width = 48
    request.height = 48
    request.steps = 2
    request.maxSequenceLength = 8
    change(&request)
    return request
  }

  private func picture(_ request: GenerationRequest) throws -> Tensor {
    try pipeline.generate(request).frames
  }

  // MARK: Wrong input

  @Test(arguments: ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"])
  func anAbsentPartIsNamed(component: String) throws {
    try withCopy(of: TinySD3.pipelineFolder(), without: [component]) { folder in
      let error = #expect(throws: ModelError.self) { try openPipeline(folder) }
      #expect("\(error as Any)".contains("'\(component)'"), "\(error as Any)")
    }
  }

  @Test(arguments: ["text_encoder", "text_encoder_3", "tokenizer_3", "transformer", "vae", "scheduler"])
  func aFolderThatIsNotThereIsNamed(component: String) throws {
    try withCopy(of: TinySD3.pipelineFolder(), without: []) { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/\(component)")
      let error = #expect(throws: ModelError.self) { try openPipeline(folder) }
      #expect("\(error as Any)".contains(component), "\(error as Any)")
    }
  }

  /// An id beyond the encoder's embedding would stop the program in the middle of a run.
  @Test func aTokenizerWithMoreIdsThanItsEncoderIsRefused() throws {
    let larger = Golden.root.appendingPathComponent("tokenizers_small/clip").path
    try withCopy(of: TinySD3.pipelineFolder(), without: []) { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/tokenizer_2")
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/tokenizer_2", withDestinationPath: larger)
      let error = #expect(throws: ModelError.self) { try openPipeline(folder) }
      #expect("\(error as Any)".contains("tokenizer_2") && "\(error as Any)".contains("is 814"), "\(error as Any)")
    }
  }

  @Test func partsThatDoNotFitAreNamed() throws {
    try withCopy(of: TinySD3.pipelineFolder(), without: []) { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/transformer")
      try FileManager.default.copyItem(atPath: TinySD3.folder, toPath: "\(folder)/transformer")
      let error = #expect(throws: ModelError.self) { try openPipeline(folder) }
      #expect("\(error as Any)".contains("joint_attention_dim 40 of the transformer, d_model 48 of text_encoder_3"))
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    let black = Tensor(zeros: [8, 8, 3]).converted(to: .u8)
    let cases: [(RequestError, (inout GenerationRequest) -> Void)] = [
      (.noPrompt, { $0.prompts = [] }),
      (.badSize(width: 40, height: 48, multiple: 16, maximum: 192), { $0.width = 40 }),
      (.badSize(width: 48, height: 208, multiple: 16, maximum: 192), { $0.height = 208 }),
      (.badSteps(0), { $0.steps = 0 }),
      (.badSequenceLength(513, maximum: 512), { $0.maxSequenceLength = 513 }),
      (
        .badGuidance("two scales of classifier-free guidance, expected one"),
        {
          $0.guidance = 2
          $0.trueCFG = 3
        }
      ),
      (.badGuidance("nan, expected a finite number"), { $0.guidance = .nan }),
      (.badSkipLayers("layers [3], expected some of 0 to 2"), { $0.skipLayers = SkipLayerGuidance(layers: [3]) }),
      (.badSkipLayers("layers [], expected some of 0 to 2"), { $0.skipLayers = SkipLayerGuidance(layers: []) }),
      (
        .badSkipLayers("needs classifier-free guidance, a scale above 1; it is 1.0"),
        {
          $0.skipLayers = SkipLayerGuidance(layers: [1])
          $0.guidance = 1
        }
      ),
      (.badClipSkip(2, maximum: 1), { $0.clipSkip = 2 }), (.badClipSkip(-1, maximum: 1), { $0.clipSkip = -1 }),
      (.badStrength(0), { $0.startingImage = StartingImage(black, strength: 0) }),
      (.badStrength(1.5), { $0.startingImage = StartingImage(black, strength: 1.5) }),
      (.badImage(shape: [8, 8]), { $0.startingImage = StartingImage(black[.all, .all, 0]) }),
      (.badLatents(found: [1], expected: [1, 16, 6, 6]), { $0.latents = Tensor([1]) }),
    ]
    for (expected, change) in cases { #expect(throws: expected) { try picture(request(change)) } }
    var observation = InspectionRequest(image: black)
    observation.guidance = 2
    #expect(throws: RequestError.self) { try pipeline.plan(observation) }
  }

  @Test func whatAFamilyDoesNotHaveIsSaidSo() throws {
    let flux = try openPipeline("tiny-flux")
    var clipSkip = GenerationRequest("a boat"), skipLayers = clipSkip
    clipSkip.clipSkip = 1
    skipLayers.skipLayers = SkipLayerGuidance(layers: [1])
    let error = #expect(throws: RequestError.self) { try flux.generate(clipSkip) }
    #expect("\(error as Any)".contains("FLUX.1"))
    #expect(throws: RequestError.self) { try flux.generate(skipLayers) }
  }

  // MARK: Laws

  @Test func theEmptyPromptIsTheNegativeOneUnlessAnotherIsGiven() throws {
    let plain = try picture(request())
    #expect(try plain.isIdentical(to: picture(request { $0.negativePrompt = "" })))
    #expect(try !plain.isIdentical(to: picture(request { $0.negativePrompt = "ugly" })))
    #expect(try plain.isIdentical(to: picture(request { $0.guidance = 7 })))
    #expect(try plain.isIdentical(to: picture(request { $0.trueCFG = 7 })))
    #expect(try !plain.isIdentical(to: picture(request { $0.guidance = 1 })))
  }

  @Test func aPictureOfABatchIsTheOneItIsAlone() throws {
    var generator = Generator(seed: 2)
    let noise = generator.randn([2, 16, 6, 6])
    let both = try picture(
      request {
        $0.prompts = ["a boat", "a lake"]
        $0.latents = noise
      })
    for (index, prompt) in ["a boat", "a lake"].enumerated() {
      let alone = try picture(
        request {
          $0.prompts = [prompt]
          $0.latents = noise.narrow(0, from: index, count: 1)
        })
      #expect(alone[0].isIdentical(to: both[index]), "\(prompt)")
    }
  }

  /// Each generator draws from the autoencoder's posterior first, then the noise.
  @Test func aPictureMadeFromAPictureIsThatOfItsSeedAlone() throws {
    var generator = Generator(seed: 6)
    let start = StartingImage((generator.rand([48, 48, 3]) * 255).converted(to: .u8), strength: 0.5)
    let several = try picture(
      request {
        $0.prompts = ["a boat", "a boat"]
        $0.seeds = [3, 9]
        $0.startingImage = start
      })
    for (index, seed) in [UInt64(3), 9].enumerated() {
      let alone = try picture(
        request {
          $0.seed = seed
          $0.startingImage = start
        })
      #expect(alone[0].isIdentical(to: several[index]), "seed \(seed)")
    }
  }

  @Test func strengthSaysHowManyStepsAreTaken() throws {
    let black = Tensor(zeros: [48, 48, 3]).converted(to: .u8)
    for (strength, expected) in [(1.0, 4), (0.8, 4), (0.75, 3), (0.5, 2), (0.01, 1)] {
      var steps: [Int] = []
      _ = try pipeline.generate(
        request {
          $0.steps = 4
          $0.startingImage = StartingImage(black, strength: strength)
        }, processors: []
      ) { steps.append($0.total) }
      #expect(steps == [Int](repeating: expected, count: expected), "strength \(strength)")
    }
  }
}
