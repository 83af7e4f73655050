import ConceptAttention
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The shipped processors on a small FLUX with random weights.
@Suite struct ProcessorTests {
  private let model: FluxTransformer
  private let input: FluxTransformer.Input
  private let grid = TokenGrid(height: 4, width: 5)
  private let concepts: ConceptSet

  init() throws {
    let config = FluxConfig(
      inChannels: 16, numLayers: 2, numSingleLayers: 1, attentionHeadDim: 16, numAttentionHeads: 3,
      jointAttentionDim: 24, pooledProjectionDim: 12, guidanceEmbeds: false, axesDimsRope: [4, 6, 6])
    model = try load(from: RandomWeights(seed: 7)) { FluxTransformer(config, $0) }
    var generator = Generator(seed: 11)
    input = FluxTransformer.Input(
      image: generator.randn([2, grid.count, 16]), text: generator.randn([2, 6, 24]), pooled: generator.randn([2, 12]),
      timestep: [700, 700], positions: model.positions(grid: grid))
    concepts = ConceptSet(["star", "house", "grass"], embeddings: generator.randn([1, 3, 24]))
  }

  private func run(_ processors: [any AttentionProcessor]) throws -> (output: Tensor, run: HookRun) {
    let hooks = try HookRun(processors, on: model, pass: Pass(steps: 1, grid: grid, batch: 2))
    return (model(input, hooks: hooks), hooks)
  }

  @Test func thePictureIsTheSameToTheBitWithConceptsAndEverythingThatOnlyLooks() throws {
    let plain = model(input)
    let watched = try run([
      ConceptAttention(concepts), ActivationCache("*.*.image"), Recorder("double.*.text.mlpOutput"),
      RawCrossAttention(.text), ConceptAttention(concepts, stream: "again"),
    ])
    #expect(watched.output.isIdentical(to: plain))
    try watched.run.finish()
  }

  @Test func conceptMapsAreADistributionOverConceptsAtEveryToken() throws {
    let method = ConceptAttention(concepts)
    _ = try run([method])
    let maps = try method.maps()
    #expect(maps.average.shape == [2, 3, 1, 4, 5])
    expectClose(maps.average.sum(1), Tensor(ones: [2, 1, 4, 5]), Tolerance(absolute: 1e-5))
    #expect(maps["house"]?.shape == [1, 4, 5])
    #expect(maps["boat"] == nil)
  }

  @Test func keptMapsAverageToTheAverage() throws {
    var options = ConceptAttentionOptions.default
    options.keeping = [.layers, .steps]
    let method = ConceptAttention(concepts, options: options)
    let hooks = try HookRun([method], on: model, pass: Pass(steps: 2, grid: grid, batch: 2))
    for step in 0..<2 {
      hooks.pass.step = step
      _ = model(input, hooks: hooks)
    }
    let maps = try method.maps()
    #expect(maps.byLayer.keys.sorted() == [0, 1] && maps.byStep.keys.sorted() == [0, 1])
    for parts in [maps.byLayer, maps.byStep] {
      let mean = try (#require(parts[0]) + #require(parts[1])) / 2
      expectClose(maps.average, mean, Tolerance(absolute: 1e-6))
    }
  }

  @Test func logitsPerHeadAddUpToTheWhole() throws {
    var options = ConceptAttentionOptions.default
    options.keeping = [.heads]
    options.normalization = .none
    let method = ConceptAttention(concepts, options: options)
    _ = try run([method])
    let maps = try method.maps()
    let sum = try #require(maps.byHead[0]) + #require(maps.byHead[1]) + #require(maps.byHead[2])
    expectClose(sum, maps.average, Tolerance(absolute: 1e-5, relativeToMax: 1e-5))
  }

  @Test func anUnconditionalPassAddsNothing() throws {
    let method = ConceptAttention(concepts)
    let hooks = try HookRun([method], on: model, pass: Pass(steps: 1, branch: .unconditional, grid: grid, batch: 2))
    _ = model(input, hooks: hooks)
    #expect(throws: SaliencyError.nothingRecorded) { try method.maps() }
  }

  @Test func conceptsWatchWhatAnAblationLeaves() throws {
    let clean = ConceptAttention(concepts), ablated = ConceptAttention(concepts)
    let plain = try run([clean]).output
    let ablation = HeadAblation("double.0.image.attentionOutput", heads: [1])
    let changed = try run([ablated, ablation]).output
    #expect(!changed.isIdentical(to: plain))
    #expect(try !ablated.maps().average.isIdentical(to: clean.maps().average))
  }

  @Test func ablationByZeroAndByMeanReplaceTheHeadOnly() throws {
    let site: SitePattern = "double.1.image.attentionOutput", before = ActivationCache(site)
    _ = try run([before])
    for (replacement, isZero) in [(HeadAblation.Replacement.zero, true), (.mean, false)] {
      let after = ActivationCache(site)
      // The cache reads what the ablation wrote, whatever the order of the list.
      _ = try run([after, HeadAblation(site, heads: [2], by: replacement)])
      let old = try #require(before["\(site)", step: 0]), new = try #require(after["\(site)", step: 0])
      #expect(new[.all, ..<2].isIdentical(to: old[.all, ..<2]))
      let expected =
        isZero
        ? Tensor(zeros: old[.all, 2].shape) : old[.all, 2].mean(1, keepDims: true).broadcast(to: old[.all, 2].shape)
      expectClose(new[.all, 2], expected, Tolerance(absolute: 1e-6))
    }
  }

  @Test func patchingACleanRunOverAnAblatedOneRestoresThePicture() throws {
    let cache = ActivationCache("double.0.image.attentionOutput")
    let clean = try run([cache]).output
    let patch = ActivationPatch(from: cache)
    let ablation = HeadAblation("double.0.image.attentionOutput", heads: [0])
    #expect(try !run([ablation]).output.isIdentical(to: clean))
    #expect(try run([ablation, patch]).output.isIdentical(to: clean))
    #expect(patch.replaced == 1 && patch.missed == 0)
  }

  @Test func savedActivationsComeBackWithTheirNames() throws {
    let cache = ActivationCache("double.*.text.value", "single.0.image.query")
    _ = try run([cache])
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("cache-\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try cache.save(to: path)
    let loaded = try ActivationCache(contentsOf: path)
    #expect(loaded.tensors.keys == cache.tensors.keys && loaded.tensors.count == 3)
    for (key, tensor) in cache.tensors {
      #expect(try #require(loaded.tensors[key]).isIdentical(to: tensor.contiguous()))
    }
  }

  @Test func steeringAddsItsVectorAtTheChosenSteps() throws {
    let vector = Tensor(ones: [48])
    let plain = model(input)
    #expect(try !run([Steering("double.1.image.residualOutput", adding: vector)]).output.isIdentical(to: plain))
    let later = Steering("double.1.image.residualOutput", adding: vector, in: PassFilter(steps: [5]))
    #expect(try run([later]).output.isIdentical(to: plain))
    let nothing = Steering("double.1.image.residualOutput", adding: vector, strength: 0)
    #expect(try run([nothing]).output.isIdentical(to: plain))
  }

  @Test func crossAttentionProbabilitiesOverBothStreamsAddUpToOne() throws {
    let toText = RawCrossAttention(.text), toImage = RawCrossAttention(.image)
    _ = try run([toText, toImage])
    let sum = try toText.maps().average.sum(1) + toImage.maps().average.sum(1)
    expectClose(sum, Tensor(ones: [2, 1, 4, 5]), Tolerance(absolute: 1e-5))
  }

  @Test func aRecorderWritesStatisticsDown() throws {
    let recorder = Recorder("double.0.text.query")
    _ = try run([recorder])
    let entry = try #require(recorder.entries.first)
    #expect(recorder.entries.count == 1 && entry.shape == [2, 3, 6, 16])
    #expect(entry.minimum < entry.mean && entry.mean < entry.maximum && entry.standardDeviation > 0)
  }

  @Test func lookingStopsAfterTheLastBlockAnybodyReads() throws {
    let recorder = Recorder("double.0.image.residualOutput")
    let hooks = try HookRun([recorder], on: model, pass: Pass(steps: 1, grid: grid, batch: 2))
    model.look(input, hooks: hooks)
    #expect(recorder.entries.count == 1)
    #expect(hooks.isDone(after: BlockID("double", 0)))
  }

  @Test func aSiteOrLayerTheModelDoesNotHaveIsAnErrorWhenInstalled() throws {
    let unknown = #expect(throws: HookError.self) { try run([ActivationCache("double.9.image.query")]) }
    #expect(
      unknown?.description.contains("nothing matches 'double.9.image.query'; nearest are double.0.image.query") == true)
    #expect(throws: HookError.self) { try run([ConceptAttention(concepts, options: .init(layers: [2]))]) }
    let twice = #expect(throws: HookError.self) { try run([ConceptAttention(concepts), ConceptAttention(concepts)]) }
    #expect(twice?.description.contains("'concepts' exists already") == true)
  }

  @Test func aNamedSiteThatNeverFiredIsAnErrorAtTheEnd() throws {
    let cold = Recorder("single.0.image.query")
    let hooks = try HookRun([cold], on: model, pass: Pass(steps: 1, grid: grid, batch: 2))
    #expect(throws: HookError.neverFired(what: "'single.0.image.query'", processor: "Recorder")) { try hooks.finish() }
  }

  @Test func aSecondRunOnAnotherGridStartsAnew() throws {
    let concepts = ConceptAttention(concepts), cross = RawCrossAttention()
    let cache = ActivationCache("double.0.image.value"), recorder = Recorder("double.0.image.value")
    let all: [any AttentionProcessor] = [concepts, cross, cache, recorder]
    _ = try run(all)
    let small = TokenGrid(height: 2, width: 3)
    let hooks = try HookRun(all, on: model, pass: Pass(steps: 1, grid: small, batch: 2))
    var input = input
    input.image = input.image.narrow(1, from: 0, count: small.count)
    input.positions = model.positions(grid: small)
    _ = model(input, hooks: hooks)
    #expect(try concepts.maps().grid == small && cross.maps().grid == small)
    #expect(cache["double.0.image.value", step: 0]?.shape == [2, 3, 6, 16] && recorder.entries.count == 1)
  }

  @Test func settingsThatComeToNothingAreRefused() throws {
    func refused(_ change: (inout ConceptAttentionOptions) -> Void) -> String {
      var options = ConceptAttentionOptions.default
      change(&options)
      let error = #expect(throws: HookError.self) { try run([ConceptAttention(concepts, options: options)]) }
      return error?.description ?? ""
    }
    #expect(refused { $0.spaces = [] }.contains("ConceptAttention: no space is chosen"))
    #expect(refused { $0.layers = [] }.contains("no layer"))
    #expect(refused { $0.steps = [] }.contains("no step"))
    #expect(refused { ($0.spaces, $0.imageOutputs) = ([.value], .readingConcepts) }.contains("'readingConcepts'"))
    #expect(refused { ($0.spaces, $0.conceptScaling) = ([.attention], .length) }.contains("'length'"))
    #expect(refused { ($0.averaging, $0.keeping) = (.vectors, [.steps]) }.contains("by step"))
    #expect(refused { ($0.averaging, $0.spaces) = (.vectors, [.attention]) }.contains("no vectors"))
    let empty = #expect(throws: HookError.self) {
      try run([ActivationPatch(from: ActivationCache("double.0.image.value"))])
    }
    #expect(empty?.description == "ActivationPatch: the cache to patch from is empty")
    #expect(throws: HookError.self) { try run([HeadAblation("double.0.image.value", heads: [])]) }
  }

  @Test func aRewriteOfAnotherShapeStopsWithBothShapes() async {
    let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let config = FluxConfig(
        inChannels: 4, numLayers: 1, numSingleLayers: 0, attentionHeadDim: 8, numAttentionHeads: 1,
        jointAttentionDim: 4,
        pooledProjectionDim: 4, guidanceEmbeds: false, axesDimsRope: [2, 2, 4])
      let model = try load(from: RandomWeights()) { FluxTransformer(config, $0) }
      let grid = TokenGrid(height: 1, width: 1)
      let hooks = try HookRun([OtherShape()], on: model, pass: Pass(steps: 1, grid: grid))
      _ = model(
        .init(
          image: Tensor(zeros: [1, 1, 4]), text: Tensor(zeros: [1, 1, 4]), pooled: Tensor(zeros: [1, 4]),
          timestep: [1000],
          positions: model.positions(grid: grid)), hooks: hooks)
    }
    expectTrapText(trap, "rewrite at double.0.image.query: returned shape [1], expected [1, 1, 1, 8]")
  }
}

private final class OtherShape: AttentionProcessor {
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.rewrite("*.*.image.query") { _, _, _ in Tensor([1]) }
  }
}
