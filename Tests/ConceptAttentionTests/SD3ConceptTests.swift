import ConceptAttention
import EmbeddedModels
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// ConceptAttention on a small Stable Diffusion 3.5 with dual attention: nothing here knows more of the family than a user
/// does.
@Suite struct SD3ConceptTests {
  private let pipeline: any DiffusionPipeline
  private let names = ["cat", "boat", "lake"]

  init() throws {
    let golden = Golden.fixture("pipelines/sd35/run-cfg")
    pipeline = try openPipeline(golden.path(try #require(golden.config.pipeline.string)))
  }

  private func request(_ prompt: String = "a cat in a boat", guidance: Float) -> GenerationRequest {
    var request = GenerationRequest(prompt)
    request.negativePrompt = "ugly"
    request.width = 48
    request.height = 64
    request.steps = 3
    request.guidance = guidance
    request.maxSequenceLength = 12
    request.seed = 4
    return request
  }

  @Test func phrasesEncodedTogetherHaveTheBitsOfEachAlone() throws {
    for joint in try pipeline.encodePhrases(names, maxSequenceLength: 12) {
      // Another pipeline: this one remembers.
      let alone = try SD3ConceptTests().pipeline.encodePhrases([joint.text], maxSequenceLength: 12)[0]
      #expect(joint.states.isIdentical(to: alone.states) && joint.spans == alone.spans)
    }
  }

  private func concepts() throws -> ConceptSet { try ConceptSet(pipeline.encodePhrases(names, maxSequenceLength: 12)) }

  private func joinedConcepts() throws -> ConceptSet {
    let sentence = try pipeline.encodePhrases([names.joined(separator: " ")], maxSequenceLength: 12)[0]
    return try ConceptSet(names, joined: sentence)
  }

  @Test func withGuidanceOfBothKindsAndDualAttentionThePictureIsTheSameToTheBit() throws {
    var request = request(guidance: 4.5)
    request.skipLayers = SkipLayerGuidance(layers: [1], start: 0, stop: 1)
    let plain = try pipeline.generate(request)
    let authors = ConceptAttention(try joinedConcepts(), options: .authorsSD3, stream: "authors")
    let watched = try pipeline.generate(
      request,
      processors: [
        ConceptAttention(try concepts()), authors, Recorder("joint.0.image.dualAttentionOutput"),
        ActivationCache("joint.*.text.value"), RawCrossAttention(),
      ]
    ) { _ in }
    #expect(watched.frames.isIdentical(to: plain.frames))
    #expect(try authors.maps().average.shape == [1, 3, 1, 4, 3])
  }

  @Test func skippingALayerChangesThePicture() throws {
    var skipping = request(guidance: 4.5)
    let plain = try pipeline.generate(skipping)
    skipping.skipLayers = SkipLayerGuidance(layers: [1], start: 0, stop: 1)
    #expect(try !pipeline.generate(skipping).frames.isIdentical(to: plain.frames))
  }

  /// The first step starts from the same noise with and without guidance.
  @Test func mapsAreThoseOfTheBranchThatSeesThePrompt() throws {
    func maps(_ request: GenerationRequest, _ branch: Pass.Branch = .conditional) throws -> Tensor {
      var options = ConceptAttentionOptions(steps: [0])
      options.branch = branch
      let method = ConceptAttention(try concepts(), options: options)
      _ = try pipeline.generate(request, processors: [method]) { _ in }
      return try method.maps().average
    }
    let guided = try maps(request(guidance: 4.5)), unguided = try maps(request(guidance: 1))
    #expect(guided.isIdentical(to: unguided))
    expectClose(guided.sum(1), Tensor(ones: [1, 1, 4, 3]), Tolerance(absolute: 1e-5))
    let negative = try maps(request(guidance: 4.5), .unconditional)
    #expect(try negative.isIdentical(to: maps(request("ugly", guidance: 1))) && !negative.isIdentical(to: guided))
    #expect(throws: HookError.self) { try maps(request(guidance: 1), .unconditional) }
  }

  @Test func anExistingPictureHasMapsToo() throws {
    let method = ConceptAttention(try concepts(), options: ConceptAttentionOptions(layers: [0, 1]))
    var generator = Generator(seed: 1)
    let picture = (generator.rand([40, 50, 3]) * 255).converted(to: .u8)
    var request = InspectionRequest(image: picture)
    request.width = 64
    request.height = 48
    request.samples = 2
    request.maxSequenceLength = 12
    var shapes: [[Int]] = []
    try pipeline.inspect(request, processors: [method]) { shapes.append($0.latents.shape) }
    #expect(shapes == [[1, 16, 6, 8], [1, 16, 6, 8]])
    let maps = try method.maps()
    #expect(maps.grid == TokenGrid(height: 3, width: 4))
    expectClose(maps.average.sum(1), Tensor(ones: [1, 1, 3, 4]), Tolerance(absolute: 1e-5))
  }

  /// Each phrase alone: its first token as both CLIP encoders give it, filled with zeros, then as T5 gives it.
  @Test func aConceptHasATokenOfCLIPAndOneOfT5() throws {
    let concepts = try concepts()
    #expect(concepts.tokensPerConcept == 2 && concepts.leadingTokens == 0)
    #expect(concepts.embeddings.shape == [1, 6, 48])
    let sd3 = try #require(pipeline as? StableDiffusion3Pipeline)
    for (index, name) in names.enumerated() {
      let states = try sd3.encode([name], maxSequenceLength: 12).states[0]
      #expect(concepts.embeddings[0, index].isIdentical(to: states[1]), "\(name): the token after the first of CLIP")
      #expect(concepts.embeddings[0, 3 + index].isIdentical(to: states[77]), "\(name): the first of T5")
      #expect(concepts.embeddings[0, index][40...].absolute().amax().item == 0)
    }
  }

  /// Where concepts read the image only, their tokens don't see each other.
  @Test func theVectorsOfAConceptsTokensAreAveraged() throws {
    let both = try concepts(), parts = both.embeddings.chunked(2, axis: 1)
    var options = ConceptAttentionOptions.default
    options.reads = .image
    options.normalization = .none
    let method = ConceptAttention(both, options: options)
    let alone = parts.enumerated().map { index, part in
      ConceptAttention(ConceptSet(names, embeddings: part), options: options, stream: StreamID("part \(index)"))
    }
    _ = try pipeline.generate(request(guidance: 1), processors: [method] + alone) { _ in }
    let mean = try (alone[0].maps().average + alone[1].maps().average) / 2
    expectClose(try method.maps().average, mean, Tolerance(absolute: 1e-4, relativeToMax: 1e-5))
  }

  @Test func mapsOfAveragedVectorsHaveNoSteps() throws {
    var options = ConceptAttentionOptions.authorsSD3
    options.keeping = [.layers, .heads]
    let method = ConceptAttention(try joinedConcepts(), options: options)
    _ = try pipeline.generate(request(guidance: 1), processors: [method]) { _ in }
    let maps = try method.maps()
    #expect(maps.byStep.isEmpty && maps.byLayer.keys.sorted() == [0, 1, 2] && maps.byHead.count == 2)
  }

  @Test func aSentenceNeedsATokenPerConcept() throws {
    let sentence = try pipeline.encodePhrases(["a"], maxSequenceLength: 12)[0]
    #expect(throws: ConceptError.empty("a")) { try ConceptSet(["one", "two"], joined: sentence) }
    #expect(throws: ConceptError.none) { try ConceptSet([], joined: sentence) }
    #expect(throws: ConceptError.empty("")) { try ConceptSet(pipeline.encodePhrases([""], maxSequenceLength: 12)) }
  }

  @Test func theLastBlockHasNoTextOutputToLookAt() throws {
    let sites = pipeline.transformer.sites.map(\.description)
    #expect(sites.contains("joint.2.text.attentionOutput") && !sites.contains("joint.2.text.residualOutput"))
    #expect(sites.contains("joint.0.image.dualQuery") && !sites.contains("joint.1.image.dualQuery"))
    let unknown = Recorder("joint.2.text.mlpInput")
    #expect(throws: HookError.self) { try pipeline.generate(request(guidance: 1), processors: [unknown]) { _ in } }
    let layer = ConceptAttention(try concepts(), options: ConceptAttentionOptions(layers: [3]))
    #expect(throws: HookError.self) { try pipeline.generate(request(guidance: 1), processors: [layer]) { _ in } }
  }
}
