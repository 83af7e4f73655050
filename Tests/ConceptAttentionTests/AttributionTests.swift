import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Attribution patching, integrated gradients, descent and relevance on the models that come along.
@Suite(.exactProducts) struct AttributionTests {
  private func pass(
    _ name: String = "tiny-flux", _ prompt: String = "a boat on the sea", step: Int = 1, latents: Tensor? = nil
  ) throws -> DenoiserPass {
    var request = GenerationRequest(prompt)
    request.steps = 4
    return try openPipeline(name).denoiserPass(request, step: step, latents: latents)
  }

  private func direction(_ pass: DenoiserPass, seed: UInt64 = 3) throws -> Scalar {
    var random = Generator(seed: seed)
    return .output(.dot(random.randn(try pass.output().shape)))
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func aPassIsThatOfTheGeneration(_ name: String) throws {
    let pipeline = try openPipeline(name)
    var request = GenerationRequest("a boat on the sea")
    request.steps = 3
    request.trueCFG = 1
    let plan = try pipeline.plan(request)
    var before: [Tensor] = [], predictions: [Tensor?] = []
    _ = try pipeline.generate(plan, processors: []) { step in
      before.append(step.before)
      predictions.append(step.prediction)
    }
    for step in 0..<2 {
      let pass = try pipeline.denoiserPass(plan, step: step)
      #expect(pass.latents.isIdentical(to: before[step]), "\(name), step \(step)")
      let prediction = try #require(predictions[step])
      expectClose(try pass.output(), prediction, Tolerance(absolute: 0), "\(name), step \(step)")
    }
    #expect(throws: RequestError.badStep(7, steps: 3)) { try pipeline.denoiserPass(plan, step: 7) }
    #expect(throws: RequestError.self) { try pipeline.denoiserPass(plan, step: 0, latents: Tensor(zeros: [1])) }
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3", "tiny-cogvideox"])
  func latentsAndPromptHaveTheSlopeThatNudgesShow(_ name: String) throws {
    let pass = try pass(name), scalar = Scalar.output(.squaredNorm)
    let gradient = try pass.gradient(of: scalar, at: [.latents, .promptEmbeddings])
    func check(_ slope: Tensor?, _ move: (inout DenoiserPass, Tensor) -> Void) throws {
      let slope = try #require(slope), size = slope.squared().sum().squareRoot().item
      func value(_ length: Float) throws -> Double {
        var moved = pass
        move(&moved, slope * (length / size))
        return Double(try moved.value(of: scalar))
      }
      let difference = try (value(0.02) - value(-0.02)) / 0.04
      #expect(abs(difference - Double(size)) < 0.02 * Double(size), "\(name): \(difference), expected \(size)")
    }
    try check(gradient.latents) { $0.latents += $1 }
    try check(gradient.promptEmbeddings) { $0.prompts.states += $1 }
  }

  @Test func attributionIsPatchingForSmallChanges() throws {
    let clean = try pass(), scalar = try direction(clean)
    var other = clean
    let different = try pass("tiny-flux", "a cat in the snow").prompts
    other.prompts.states = clean.prompts.states + (different.states - clean.prompts.states) * 0.05
    other.prompts.pooled = clean.prompts.pooled + (different.pooled - clean.prompts.pooled) * 0.05
    let patterns: [SitePattern] = ["double.*.*.attentionOutput", "*.*.image.residualOutput", "double.0.text.mlpOutput"]
    let attributions = try clean.attributionPatching(of: scalar, at: patterns, from: other)
    let patches = try other.tensors(at: patterns)
    #expect(attributions.count == patches.count)
    let largest = attributions.map { abs($0.effect) }.max() ?? 0
    #expect(largest > 0)
    for attribution in attributions {
      let patch = try #require(patches[attribution.site])
      let real = try clean.patchingEffect(of: scalar, at: attribution.site, to: patch)
      #expect(
        abs(attribution.effect - real) < 0.06 * largest + 1e-3, "\(attribution.site): \(attribution.effect), is \(real)"
      )
      #expect(abs(attribution.shares.sum().item - attribution.effect) < 1e-3 * largest)
    }
  }

  @Test func integratedGradientsAddUpToTheChange() throws {
    let pass = try pass(), scalar = try direction(pass)
    // From another prompt and another noise: near zeros, which norms divide by, a line needs many steps.
    let other = try self.pass("tiny-flux", "a cat in the snow")
    let baselines: [(GradientPlace, Tensor?)] = [
      (.latents, pass.latents.flipped(1)), (.promptEmbeddings, other.prompts.states), (.pooled, other.prompts.pooled),
      ("double.1.image.mlpOutput", nil),
    ]
    for (place, baseline) in baselines {
      let result = try pass.integratedGradients(of: scalar, at: place, from: baseline, steps: 16)
      let change = abs(result.value - result.baseline)
      #expect(abs(result.gap) < 0.02 * change + 0.05, "\(place): gap \(result.gap) of \(change)")
    }
    #expect(throws: GradientError.self) { try pass.integratedGradients(of: scalar, at: "double.*.image.query") }
    #expect(throws: GradientError.self) { try pass.integratedGradients(of: scalar, at: .latents, steps: 0) }
    #expect(throws: GradientError.self) {
      try pass.integratedGradients(of: scalar, at: .latents, from: Tensor(zeros: [7, 7, 7]))
    }
  }

  @Test func descentMakesTheLossFall() throws {
    let pass = try pass(), other = try self.pass("tiny-flux", "a cat in the snow")
    let target = try other.output(), loss = Scalar.output(.squaredError(to: target))
    for (place, rate, share) in [(GradientPlace.promptEmbeddings, Float(0.02), Float(1)), (.latents, 0.1, 0.8)] {
      var descent = try InputDescent(pass, changing: place, rate: rate)
      for _ in 0..<8 { try descent.step(loss) }
      let last = try descent.pass.value(of: loss)
      #expect(last < descent.losses[0] * share, "\(place): from \(descent.losses[0]) to \(last)")
      #expect(descent.losses.count == 8 && descent.pass.latents.isIdentical(to: pass.latents) == (place != .latents))
    }
  }

  @Test func tensorsOfOtherShapesAreErrors() throws {
    let pass = try pass(step: 0)
    var narrow = pass, short = pass, unpooled = pass
    narrow.latents = Tensor(zeros: [1, 2, 3])
    short.prompts.states = Tensor(zeros: [1, 4, 1])
    unpooled.prompts.pooled = Tensor(zeros: [1, 1])
    for wrong in [narrow, short, unpooled] {
      #expect(throws: RequestError.self) { try wrong.output() }
      #expect(throws: RequestError.self) { try wrong.gradient(of: .output(.sum), at: [.latents]) }
    }
    #expect(throws: GradientError.self) { try InputDescent(pass, changing: "double.0.image.query", rate: 1) }
    #expect(throws: HookError.self) { try pass.tensors(at: ["double.99"]) }
  }

  @Test func aConceptsMapCanBePulledToAMask() throws {
    let pipeline = try openPipeline("tiny-flux"), pass = try pass()
    let concepts = try pipeline.conceptAttention(["boat", "sea", "sky"])
    let grid = pass.pass.grid
    // The boat in the left half, the sea in the right one.
    let left = (0..<grid.count).map { Float($0 % grid.width < grid.width / 2 ? 1 : 0) }
    let target = Tensor(left + left.map { 1 - $0 } + left.map { _ in 0 }, shape: [3, grid.count])
    let loss = Scalar.conceptMaps("double.1", of: concepts, target: target)
    let slope = try #require(pass.gradient(of: loss, at: [.latents], processors: [concepts]).latents)
    let size = slope.squared().sum().squareRoot().item
    func value(_ length: Float) throws -> Double {
      var moved = pass
      moved.latents += slope * (length / size)
      return Double(try moved.value(of: loss, processors: [concepts]))
    }
    let difference = try (value(0.1) - value(-0.1)) / 0.2
    #expect(abs(difference - Double(size)) < 0.03 * Double(size), "\(difference), expected \(size)")
    var descent = try InputDescent(pass, changing: .latents, rate: 0.02)
    for _ in 0..<5 { try descent.step(loss, processors: [concepts]) }
    #expect(try descent.pass.value(of: loss, processors: [concepts]) < descent.losses[0])
  }

  @Test func conceptsOnBoardChangeNoGradientAndHaveTheirMaps() throws {
    let pipeline = try openPipeline("tiny-flux"), pass = try pass(), scalar = try direction(pass)
    let concepts = try pipeline.conceptAttention(["boat", "sea"]),
      again = try pipeline.conceptAttention(["boat", "sea"])
    let places: [GradientPlace] = [.latents, .pooled, "double.0.text.value"]
    let plain = try pass.gradient(of: scalar, at: places)
    let watched = try pass.gradient(of: scalar, at: places, processors: [concepts])
    #expect(try #require(watched.latents).isIdentical(to: try #require(plain.latents)))
    #expect(try #require(watched.pooled).isIdentical(to: try #require(plain.pooled)))
    _ = try pass.output(processors: [again])
    #expect(try concepts.maps().average.isIdentical(to: again.maps().average), "a map counts the way back too")
  }

  @Test func steeringAndAblationAreGoneBackThrough() throws {
    let pass = try pass(), scalar = try direction(pass)
    var random = Generator(seed: 8)
    let width = try #require(pass.tensors(at: ["double.0.image.residualMiddle"]).values.first).shape[2]
    let acting: [any AttentionProcessor] = [
      Steering("double.0.image.residualMiddle", adding: random.randn([width]), strength: 0.1),
      HeadAblation("double.1.image.attentionOutput", heads: [0], by: .mean),
      HeadAblation("double.0.text.attentionOutput", heads: [1]),
    ]
    let slope = try #require(pass.gradient(of: scalar, at: [.latents], processors: acting).latents)
    let size = slope.squared().sum().squareRoot().item
    func value(_ length: Float) throws -> Double {
      var moved = pass
      moved.latents += slope * (length / size)
      return Double(try moved.value(of: scalar, processors: acting))
    }
    let difference = try (value(0.05) - value(-0.05)) / 0.1
    #expect(abs(difference - Double(size)) < 0.02 * Double(size), "\(difference), expected \(size)")
  }

  @Test func relevanceOfALinearScalarIsItsShareByToken() throws {
    let pass = try pass(), grid = pass.pass.grid
    let site: SitePattern = "double.1.image.attentionOutput"
    let output = try #require(pass.tensors(at: [site]).values.first)
    var random = Generator(seed: 4)
    let direction = random.randn(output.shape)
    let map = try pass.relevanceMap(of: .site(site, .dot(direction)), at: [site])
    let expected = (output * direction).sum([1, 3]).unflattened(1, grid.frames, grid.height, grid.width)
    expectClose(map, expected, Tolerance(absolute: 1e-4))
    let positive = try pass.relevanceMap(of: .site(site, .dot(direction)), at: [site], positive: true)
    #expect(positive.amin().item >= 0)
    #expect(throws: GradientError.self) {
      try pass.relevanceMap(of: .site(site, .sum), at: ["double.0.text.attentionOutput"])
    }
  }
}
