import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Every shipped processor with several pictures at once, with both branches of guidance and on a grid that is not
/// square: a picture has the numbers it has alone.
@Suite struct ProcessorBatchTests {
  private let model: FluxTransformer
  private let grid = TokenGrid(height: 2, width: 5)
  private let image, text, pooled: Tensor
  private let concepts: ConceptSet

  init() throws {
    let config = FluxConfig(
      inChannels: 8, numLayers: 2, numSingleLayers: 1, attentionHeadDim: 8, numAttentionHeads: 2,
      jointAttentionDim: 12, pooledProjectionDim: 6, guidanceEmbeds: false, axesDimsRope: [2, 2, 4])
    model = try load(from: RandomWeights(seed: 5)) { FluxTransformer(config, $0) }
    var generator = Generator(seed: 2)
    image = generator.randn([2, 10, 8])
    text = generator.randn([2, 4, 12])
    pooled = generator.randn([2, 6])
    concepts = ConceptSet(["sun", "sea", "sand"], embeddings: generator.randn([1, 3, 12]))
  }

  /// Runs some pictures of the batch.
  private func run(
    _ pictures: Range<Int>, _ processors: [any AttentionProcessor], branch: Pass.Branch = .conditional
  ) throws -> Tensor {
    let hooks = try HookRun(
      processors, on: model, pass: Pass(steps: 1, branch: branch, grid: grid, batch: pictures.count))
    func part(_ tensor: Tensor) -> Tensor { tensor.narrow(0, from: pictures.lowerBound, count: pictures.count) }
    return model(
      .init(
        image: part(image), text: part(text), pooled: part(pooled),
        timestep: [Float](repeating: 600, count: pictures.count), positions: model.positions(grid: grid)), hooks: hooks)
  }

  /// Holds what a processor gives for a batch against what it gives for each picture.
  private func expectSameAlone<Method: AttentionProcessor>(
    _ method: () -> Method, _ result: (Method) throws -> Tensor, at location: SourceLocation = #_sourceLocation
  ) throws {
    let together = method()
    let output = try run(0..<2, [together])
    for picture in 0..<2 {
      let alone = method()
      #expect(
        try run(picture..<picture + 1, [alone])[0].isIdentical(to: output[picture]), sourceLocation: location)
      #expect(try result(alone)[0].isIdentical(to: result(together)[picture]), sourceLocation: location)
    }
  }

  @Test func processorsThatLook() throws {
    for space in SaliencySpace.allCases {
      var options = ConceptAttentionOptions.default
      options.spaces = [space]
      options.keeping = Set(KeptMaps.allCases)
      try expectSameAlone({ ConceptAttention(concepts, options: options) }, { try $0.maps().average })
      try expectSameAlone({ ConceptAttention(concepts, options: options) }, { try #require($0.maps().byHead[1]) })
    }
    for quantity in [RawCrossAttention.Quantity.logits, .probabilities] {
      try expectSameAlone({ RawCrossAttention(.text, quantity) }, { try $0.maps().average })
    }
    let site = "double.1.image.key"
    try expectSameAlone({ ActivationCache(SitePattern(site)) }, { try #require($0[site, step: 0]) })
  }

  @Test func processorsThatIntervene() throws {
    let site: SitePattern = "double.0.image.attentionOutput"
    func output(_ method: any AttentionProcessor) throws {
      let together = try run(0..<2, [method])
      for picture in 0..<2 {
        #expect(try run(picture..<picture + 1, [method])[0].isIdentical(to: together[picture]), "\(method.name)")
      }
      #expect(try !together.isIdentical(to: run(0..<2, [])), "\(method.name)")
    }
    try output(HeadAblation(site, heads: [1]))
    try output(HeadAblation(site, heads: [0], by: .mean))
    try output(Steering("double.1.text.residualOutput", adding: Tensor(ones: [16]), strength: 2))
    let cache = ActivationCache(site), patch = ActivationPatch(from: cache), clean = try run(0..<2, [cache])
    #expect(try run(0..<2, [HeadAblation(site, heads: [0]), patch]).isIdentical(to: clean))
  }

  @Test func aRecorderSeesTheWholeBatch() throws {
    let recorder = Recorder("double.0.image.value")
    _ = try run(0..<2, [recorder])
    #expect(recorder.entries.map(\.shape) == [[2, 2, 10, 8]])
  }

  @Test func mapsLieOnTheGridRowByRow() throws {
    let method = ConceptAttention(concepts), vectors = ActivationCache("double.1.*.attentionOutput")
    var options = method.options
    options.layers = [1]
    let one = ConceptAttention(concepts, options: options, stream: "one")
    _ = try run(0..<2, [method, one, vectors])
    let c = try #require(vectors["double.1.one.attentionOutput", step: 0]).mergedHeads
    let x = try #require(vectors["double.1.image.attentionOutput", step: 0]).mergedHeads
    let expected = Tensor.matmul(c, x.transposed()).softmax(1).unflattened(-1, 1, 2, 5)
    expectClose(try one.maps().average, expected, Tolerance(absolute: 1e-6))
  }

  @Test func blurredMapsKeepFlatOnesAndMixNeighbours() throws {
    var values = [Float](repeating: 0, count: 15)
    values[7] = 1
    let grid = TokenGrid(height: 3, width: 5)
    let maps = SaliencyMaps(concepts: ["a"], grid: grid, average: Tensor(values, shape: [1, 1, 1, 3, 5]))
    let (edge, centre): (Float, Float) = (0.274_068_62, 0.451_862_76)
    // torchvision.transforms.functional.gaussian_blur(kernel_size=3, sigma=1.0) mirrors at the edge.
    let row: [Float] = [0, edge, centre, edge, 0]
    // The outer rows see the middle one twice: once as it is and once mirrored.
    let expected = [2 * edge, centre, 2 * edge].flatMap { factor in row.map { $0 * factor } }
    expectClose(maps.blurred().average.flattened(), Tensor(expected), Tolerance(absolute: 1e-6))
    let flat = SaliencyMaps(concepts: ["a"], grid: grid, average: Tensor(full: [1, 1, 1, 3, 5], 0.25))
    expectClose(flat.blurred().average, flat.average, Tolerance(absolute: 1e-6))
    let line = SaliencyMaps(
      concepts: ["a"], grid: TokenGrid(height: 1, width: 3), average: Tensor([1, 0, 0], shape: [1, 1, 1, 1, 3]))
    expectClose(line.blurred().average.flattened(), Tensor([centre, edge, 0]), Tolerance(absolute: 1e-6))
    let column = SaliencyMaps(
      concepts: ["a"], grid: TokenGrid(height: 2, width: 1), average: Tensor([1, 0], shape: [1, 1, 1, 2, 1]))
    expectClose(column.blurred().average.flattened(), Tensor([centre, 2 * edge]), Tolerance(absolute: 1e-6))
  }

  /// With guidance, each step is two passes. Methods that look see the prompt's; those that intervene act on both.
  @Test func guidanceRunsTwoBranches() throws {
    let pipeline = try openPipeline("tiny-flux"), site = "double.0.image.attentionOutput"
    var guided = GenerationRequest("a red star")
    (guided.width, guided.height, guided.steps, guided.trueCFG, guided.negativePrompt) = (48, 32, 1, 3, "a house")
    var plain = guided
    plain.trueCFG = 1
    let set = try ConceptSet(pipeline.encodePhrases(["star", "sky"], maxSequenceLength: nil))

    func look(_ request: GenerationRequest) throws -> (ConceptAttention, RawCrossAttention, ActivationCache, Recorder) {
      let all = (
        ConceptAttention(set), RawCrossAttention(), ActivationCache(SitePattern(site), in: .every),
        Recorder(SitePattern(site), in: .every)
      )
      _ = try pipeline.generate(request, processors: [all.0, all.1, all.2, all.3]) { _ in }
      return all
    }
    let two = try look(guided), one = try look(plain)
    #expect(try two.0.maps().average.isIdentical(to: one.0.maps().average))
    #expect(try two.0.maps().average.shape == [1, 2, 1, 4, 6])
    #expect(try two.1.maps().average.isIdentical(to: one.1.maps().average))
    #expect(two.2[site, step: 0] != nil && two.2[site, step: 0, branch: .unconditional] != nil)
    #expect(one.2[site, step: 0, branch: .unconditional] == nil)
    #expect(two.3.entries.map(\.branch) == [.conditional, .unconditional])

    let ablation = HeadAblation(SitePattern(site), heads: [0]), patch = ActivationPatch(from: two.2)
    let clean = try pipeline.generate(guided)
    let ablated = try pipeline.generate(guided, processors: [ablation]) { _ in }
    let repaired = try pipeline.generate(guided, processors: [ablation, patch]) { _ in }
    #expect(!ablated.frames.isIdentical(to: clean.frames) && repaired.frames.isIdentical(to: clean.frames))
    #expect(patch.replaced == 2 && patch.missed == 0)
    #expect(ablated.fired.values.reduce(0, +) == 2)
    let steering = Steering("double.0.image.residualOutput", adding: Tensor(1))
    let steered = try pipeline.generate(guided, processors: [steering]) { _ in }
    #expect(steered.fired.values.reduce(0, +) == 2 && !steered.frames.isIdentical(to: clean.frames))
  }
}
