import ConceptAttention
import EmbeddedModels
import Foundation
import Formats
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Methods beside ConceptAttention on the embedded model, and what they refuse.
@Suite(.exactProducts) struct MethodTests {
  private static let prompt = "a red star above a house"

  private func request() -> GenerationRequest {
    var request = GenerationRequest(Self.prompt)
    (request.steps, request.width, request.height) = (2, 64, 64)
    return request
  }

  @Test(arguments: MapMethod.all.map(\.name)) func mapsAnyPictureWithoutChangingIt(_ name: String) throws {
    let pipeline = try openPipeline("tiny-flux"), method = try MapMethod(named: name)
    let maker = try method.make(MapRequest(pipeline, concepts: ["star", "house"], prompt: Self.prompt))
    let result = try pipeline.generate(request(), processors: [maker]), maps = try maker.maps()
    #expect(try result.frames.isIdentical(to: pipeline.generate(request()).frames))
    #expect(maps.concepts == ["star", "house"] && maps.average.shape == [1, 2, 1, 8, 8])
    #expect(maps.average.isAllFinite && maps.average.standardDeviation().item > 0)
    // Methods see the conditional branch only, and what they keep of a run is the run's.
    _ = try pipeline.generate(request(), processors: [maker])
    #expect(try maker.maps().average.isIdentical(to: maps.average))
  }

  @Test(arguments: MapMethod.all.filter(\.needsWords).map(\.name)) func sayWhatIsNotInThePrompt(_ name: String) throws {
    let pipeline = try openPipeline("tiny-flux"), method = try MapMethod(named: name)
    #expect(throws: MapMethodError.notInPrompt(concept: "boat", method: name, prompt: Self.prompt)) {
      try method.make(MapRequest(pipeline, concepts: ["star", "boat"], prompt: Self.prompt))
    }
  }

  @Test(arguments: MapMethod.all.map(\.name)) func goesOnFromWhereItWasSaved(_ name: String) throws {
    let pipeline = try openPipeline("tiny-flux"), plan = try pipeline.plan(request())
    let asked = MapRequest(pipeline, concepts: ["star", "house"], prompt: Self.prompt)
    func method() throws -> any ResumableMethod {
      try #require(try MapMethod(named: name).make(asked) as? any ResumableMethod, "\(name) cannot be saved")
    }
    let whole = try method(), second = try method()
    var saved: (state: GenerationState, sums: [String: Tensor])?
    _ = try pipeline.generate(plan, processors: [whole], resuming: nil) { step in
      if step.done == 1 { saved = (step.state, whole.sums) }
    }
    let first = try #require(saved)
    try second.resume(from: first.sums)
    _ = try pipeline.generate(plan, processors: [second], resuming: first.state) { _ in }
    #expect(try second.maps().average.isIdentical(to: whole.maps().average))
    #expect(throws: SaliencyError.self) { try second.resume(from: first.sums.filter { !$0.key.hasSuffix("grid") }) }
  }

  @Test func settingsThatSelectNothingAreRefused() throws {
    let pipeline = try openPipeline("tiny-flux"), model = pipeline.transformer
    let set = try pipeline.conceptAttention(["star", "house"]).concepts
    let nine = ConceptSet((0..<9).map { "\($0)" }, embeddings: Tensor(ones: [1, 9, set.embeddings.shape[2]]))
    let ones = Tensor(ones: [4, 4]), bias = Tensor(ones: [4])
    let dictionary = SparseAutoencoder(
      encoder: ones, encoderBias: bias, decoder: ones, decoderBias: bias, activation: .relu)
    let site: SitePattern = "double.0.image.residualOutput"
    var options = GoCA.Options()
    options.reference = BlockID("single", 40)
    let refused: [(any AttentionProcessor, String)] = [
      (Metagame(nine), "8 concepts are the most"),
      (GramCol(set.subset([0])), "nothing to be compared with"),
      (GramCol(set, topHeads: 0), "no head"),
      (Seg4Diff([("star", [])], in: ["double"]), "without tokens"),
      (AttentionChains([("star", [1])], in: ["double"], bounces: 0), "leads nowhere"),
      (TokenRank(in: ["double"], alpha: 1), "between 0 and 1"),
      (GoCA([("star", [1])], options: options), "single.40"),
      (PerturbedAttention([.init("double.0", heads: [])]), "no head"),
      (PerturbedAttention([.init("double.0")], softness: 0), "softness"),
      (TACA(during: .steps(0)), "none"),
      (FeatureEdit(dictionary, at: site, .steer(feature: 4, strength: 1)), "no feature 4"),
      (AttentionKnockout([.init("concepts", sees: .image)]), "'concepts'"),
    ]
    let pass = Pass(steps: 1, grid: TokenGrid(height: 8, width: 8))
    for (processor, reason) in refused {
      let error = #expect(throws: HookError.self, "\(processor.name)") {
        try HookRun([processor], on: model, pass: pass)
      }
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
  }

  @Test func theSecondAttentionIsRefusedWhereThereIsNone() throws {
    final class Dual: AttentionProcessor {
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.attend("*", part: .dual) { call, _, next in next(call) }
      }
    }
    let model = try openPipeline("tiny-flux").transformer
    let error = #expect(throws: HookError.self) {
      try HookRun([Dual()], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 8, width: 8)))
    }
    #expect(error?.description.contains("no block of this model has one") == true)
  }

  // MARK: Single methods

  @Test func tokenRankIsTheStationaryStateOfTheWholeMatrix() throws {
    let pipeline = try openPipeline("tiny-flux")
    let rank = TokenRank(in: ["double.1"], alpha: 0.9, passes: PassFilter(steps: [0]))
    var expected: [Tensor] = []
    let reader = BlockReader { view, pass in
      guard view.id == BlockID("double", 1), pass.step == 0 else { return }
      let chain = MarkovChain(view.jointProbabilities.mean(1)).teleporting(0.9)
      let image = view.columns(of: .image, readBy: .image) ?? 0..<0
      for chain in [chain, chain.reversed] {
        if let state = try? chain.stationary() { expected.append(state.narrow(1, from: image.lowerBound, count: 64)) }
      }
    }
    _ = try pipeline.generate(request(), processors: [rank, reader])
    let maps = try rank.maps()
    #expect(maps.concepts == ["sink", "source"] && expected.count == 2)
    expectClose(
      maps.average.flattened(from: 2), stacked(expected, axis: 1), Tolerance(absolute: 1e-6, relativeToMax: 1e-4))
  }

  @Test func shapleyValuesOfASumAreItsTermsAndOfAPairIsShared() {
    // 3 for player 0, 5 for player 1, and 4 when both are there; player 2 does nothing.
    let values = (0..<8).map { mask -> Float in
      (mask & 1 == 1 ? 3 : 0) + (mask & 2 == 2 ? 5 : 0) + (mask & 3 == 3 ? 4 : 0)
    }
    expectClose(shapleyValues(Tensor(values)), Tensor([5, 7, 0]), Tolerance(absolute: 1e-5))
  }

  @Test func pointsOnAPlaneAndOnALineHaveItsDimensionWhateverTheSpace() {
    var generator = Generator(seed: 4)
    for dimension in [1, 2, 5] {
      let flat = generator.rand([1500, dimension]), directions = generator.randn([dimension, 40])
      let points = concatenated([Tensor.matmul(flat, directions) + 3, Tensor(zeros: [2, 40])])
      let found = IntrinsicDimension(of: points)
      #expect(abs(found.maximumLikelihood - Double(dimension)) < 0.12 * Double(dimension) + 0.05)
      #expect(abs(found.slope - Double(dimension)) < 0.12 * Double(dimension) + 0.05)
      #expect(found.neighbourDistances.shape == [1502, 2] && found.neighbourDistances[1501, 0].item == 0)
    }
  }

  @Test func theLensEndsWithTheModelsOwnPrediction() throws {
    let pipeline = try openPipeline("tiny-flux"), lens = OutputLens()
    var steps: [Tensor] = []
    var request = request()
    request.trueCFG = 1
    _ = try pipeline.generate(request, processors: [lens]) { steps.append($0.latents) }
    let last = try #require(pipeline.transformer.blocks.last), entry = try #require(lens[last, step: 1])
    // At the last step the noise is gone: what the model takes for clean is where the run ends.
    expectClose(try #require(entry.clean), steps[1], Tolerance(absolute: 1e-5, relativeToMax: 1e-5))
    #expect(lens.entries.count == 2 * pipeline.transformer.blocks.count)
  }

  // MARK: Dictionaries

  @Test func dictionariesOpenAsTheyAreWritten() throws {
    try withTemporaryFolder { folder in
      var generator = Generator(seed: 2)
      let encoder = generator.randn([6, 10]), decoder = generator.randn([10, 6]), threshold = generator.rand([10])
      let tensors = [
        "W_enc": encoder, "W_dec": decoder, "b_enc": generator.randn([10]), "b_dec": generator.randn([6]),
        "threshold": threshold,
      ]
      try SafetensorsFile.write(tensors, to: "\(folder)/sae_weights.safetensors")
      func open(_ settings: String) throws -> SparseAutoencoder {
        try Data(settings.utf8).write(to: URL(fileURLWithPath: "\(folder)/cfg.json"))
        return try SparseAutoencoder(folder: folder)
      }
      let top = try open(#"{"d_in": 6, "d_sae": 10, "architecture": "topk", "activation_fn_kwargs": {"k": 3}}"#)
      let x = generator.randn([2, 4, 6])
      #expect(top.activation == .topK(3) && top.features == 10 && top.dim == 6)
      #expect(top.encoder.isIdentical(to: encoder.transposed().contiguous()))
      let active = top.encoded(x).greater(than: 0).converted(to: .f32).sum(-1)
      #expect(active.amax().item == 3)
      let jump = try open(#"{"d_in": 6, "d_sae": 10, "architecture": "jumprelu", "apply_b_dec_to_input": false}"#)
      let values = jump.encoded(x), before = jump.preActivations(x)
      #expect(
        !jump.subtractsDecoderBias && values.filled(where: before.greater(than: threshold), with: 0).sum().item == 0)
      #expect(try open(#"{"d_in": 6, "d_sae": 10}"#).activation == .relu)
      for (settings, reason) in [
        (#"{"d_in": 6}"#, "d_in and d_sae"), (#"{"d_in": 6, "d_sae": 0}"#, "d_sae 0"), ("[", "JSON"),
        (#"{"d_in": 6, "d_sae": 10, "architecture": "gated"}"#, "gated"),
        (#"{"d_in": 6, "d_sae": 10, "architecture": "topk"}"#, "k missing"),
        (#"{"d_in": 7, "d_sae": 10}"#, "'W_enc' has shape [6, 10], expected [7, 10]"),
      ] {
        let error = #expect(throws: SparseAutoencoderError.self, "\(settings)") { try open(settings) }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
      }
    }
  }

  private func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("methods-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
  }
}
