import Models
import NN
import Tensor
import TestSupport
import Testing

/// Gradients through whole small models with random weights, against differences: at every site there is.
@Suite struct PassGradientTests {
  private static let grid = TokenGrid(height: 3, width: 4)

  private static func flux(guidance: Bool = false) throws -> (FluxTransformer, FluxTransformer.Input) {
    let config = FluxConfig(
      inChannels: 8, numLayers: 2, numSingleLayers: 1, attentionHeadDim: 8, numAttentionHeads: 3,
      jointAttentionDim: 10, pooledProjectionDim: 6, guidanceEmbeds: guidance, axesDimsRope: [2, 2, 4])
    let model = try load(from: RandomWeights(seed: 7)) { FluxTransformer(config, $0) }
    var random = Generator(seed: 11)
    return (
      model,
      .init(
        image: random.randn([2, grid.count, 8]), text: random.randn([2, 5, 10]), pooled: random.randn([2, 6]),
        timestep: [700, 300], guidance: guidance ? [3, 4] : nil, positions: model.positions(grid: grid))
    )
  }

  private static func sd3() throws -> (SD3Transformer, SD3Transformer.Input) {
    let config = SD3Config(
      sampleSize: 16, patchSize: 2, inChannels: 3, outChannels: 3, numLayers: 2, attentionHeadDim: 8,
      numAttentionHeads: 2, jointAttentionDim: 10, pooledProjectionDim: 6, posEmbedMaxSize: 8,
      dualAttentionLayers: [0])
    let model = try load(from: RandomWeights(seed: 7)) { SD3Transformer(config, $0) }
    var random = Generator(seed: 11)
    return (
      model,
      .init(
        latents: random.randn([2, 3, 6, 8]), text: random.randn([2, 5, 10]), pooled: random.randn([2, 6]),
        timestep: [700, 300])
    )
  }

  /// Moves a site's tensor along a direction.
  private final class Nudge: AttentionProcessor {
    let site: Site
    let direction: Tensor
    init(_ site: Site, _ direction: Tensor) { (self.site, self.direction) = (site, direction) }
    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      hooks.rewrite(SitePattern(site), vjp: { gradient, _, _ in gradient }) { tensor, _, _ in tensor + self.direction }
    }
  }

  private static func pass(_ batch: Int = 2) -> Pass { Pass(steps: 1, grid: grid, batch: batch) }

  private func checkEverySite<Model: DifferentiableModel>(
    _ model: Model, _ input: Model.Input, _ predict: (HookRun) -> Tensor
  ) throws {
    var random = Generator(seed: 5)
    let first = try HookRun([], on: model, pass: Self.pass()), plain = predict(first)
    let scalar = ScalarHead.dot(random.randn(plain.shape))
    let gradient = try model.gradient(
      of: .output(scalar), at: model.sites.map(GradientPlace.site), input, pass: Self.pass())
    #expect(gradient.output?.isIdentical(to: plain) == true, "taking a gradient changes the pass")
    #expect(gradient.sites.count == model.sites.count)
    for site in model.sites {
      let slope = try #require(gradient.sites[site])
      let size = slope.squared().sum().squareRoot().item
      let step = slope * (0.02 / max(size, 1e-12))
      func value(_ sign: Float) throws -> Double {
        let run = try HookRun([Nudge(site, step * sign)], on: model, pass: Self.pass())
        return Double(scalar.value(predict(run)))
      }
      let difference = try (value(1) - value(-1)) / 0.04
      #expect(abs(difference - Double(size)) < 0.02 * Double(size) + 2e-3, "\(site): \(difference), expected \(size)")
    }
  }

  @Test func everySiteOfFluxHasTheSlopeThatNudgesShow() throws {
    let (model, input) = try Self.flux(guidance: true)
    try checkEverySite(model, input) { model(input, hooks: $0) }
  }

  @Test func everySiteOfStableDiffusion3HasTheSlopeThatNudgesShow() throws {
    let (model, input) = try Self.sd3()
    try checkEverySite(model, input) { model(input, hooks: $0) }
  }

  @Test(arguments: Kernels.available) func inputsHaveTheSlopeThatNudgesShow(_ kernels: Kernels) throws {
    try Kernels.with(kernels) {
      let (model, input) = try Self.flux()
      let scalar = Scalar.output(.squaredNorm)
      let gradient = try model.gradient(
        of: scalar, at: [.latents, .promptEmbeddings, .pooled], input, pass: Self.pass())
      func check(_ slope: Tensor?, _ what: String, _ move: (inout FluxTransformer.Input, Tensor) -> Void) throws {
        let slope = try #require(slope), size = slope.squared().sum().squareRoot().item
        func value(_ length: Float) -> Double {
          var moved = input
          move(&moved, slope * (length / size))
          return Double(ScalarHead.squaredNorm.value(model(moved)))
        }
        let difference = (value(0.01) - value(-0.01)) / 0.02
        #expect(abs(difference - Double(size)) < 0.01 * Double(size), "\(what): \(difference), expected \(size)")
      }
      try check(gradient.latents, "latents") { $0.image += $1 }
      try check(gradient.promptEmbeddings, "prompt") { $0.text += $1 }
      try check(gradient.pooled, "pooled") { $0.pooled += $1 }
    }
  }

  @Test func aScalarOfASiteReachesNothingBehindIt() throws {
    let (model, input) = try Self.flux()
    let gradient = try model.gradient(
      of: .site("double.0.image.attentionOutput", .squaredNorm),
      at: ["double.0.image.query", "double.0.image.residualOutput", "double.1.image.query", .latents], input,
      pass: Self.pass())
    #expect(gradient.output == nil)
    #expect(try #require(gradient["double.0.image.query"]).absolute().sum().item > 0)
    #expect(gradient["double.0.image.residualOutput"]?.absolute().sum().item == 0)
    #expect(gradient["double.1.image.query"] == nil || gradient["double.1.image.query"]?.absolute().sum().item == 0)
    #expect(try #require(gradient.latents).absolute().sum().item > 0)
  }

  @Test func weightsOfOtherTypesGiveTheGradientOfTheirValues() throws {
    let (model, input) = try Self.flux()
    var narrow = model
    narrow.doubleBlocks[1].image.ending.feedForward.up.weight =
      model.doubleBlocks[1].image.ending.feedForward.up.weight.narrowed
    var wide = narrow
    wide.doubleBlocks[1].image.ending.feedForward.up.weight =
      narrow.doubleBlocks[1].image.ending.feedForward.up.weight.widened
    func latents(_ model: FluxTransformer) throws -> Tensor {
      try #require(
        model.gradient(of: .output(.squaredNorm), at: [.latents], input, pass: Self.pass()).latents)
    }
    try expectClose(latents(narrow), latents(wide), Tolerance(absolute: 0, relativeToMax: 1e-2), "bf16")
  }

  // MARK: Processors

  private final class Acting: AttentionProcessor {
    let enter: (inout HookPlan) -> Void
    init(_ enter: @escaping (inout HookPlan) -> Void) { self.enter = enter }
    func install(_ hooks: inout HookPlan, on model: any StreamModel) { enter(&hooks) }
  }

  private func gradient(_ enter: @escaping (inout HookPlan) -> Void) throws -> PassGradient {
    let (model, input) = try Self.flux()
    return try model.gradient(
      of: .output(.squaredNorm), at: [.latents], input, pass: Self.pass(), processors: [Acting(enter)])
  }

  @Test func whatHasNoWayBackIsNamed() throws {
    #expect(
      throws: GradientError.rewritten(
        Site(BlockID("double", 0), .image, .mlpOutput), processor: String(describing: Acting.self))
    ) {
      try gradient { $0.rewrite("double.0.image.mlpOutput") { tensor, _, _ in tensor.squared() } }
    }
    #expect(throws: GradientError.edited(BlockID("single", 0), processor: String(describing: Acting.self))) {
      try gradient { $0.edit("single.0") { view, _ in view[.image]?.output *= 2 } }
    }
    #expect(throws: GradientError.replacedAttention(BlockID("double", 1), processor: String(describing: Acting.self))) {
      try gradient { $0.attend("double.1") { call, _, next in next(call).map { $0 * 0.5 } } }
    }
  }

  @Test func whatChangesNothingIsNoHindrance() throws {
    let plain = try gradient { $0.read("double.0.image.query") { _, _, _ in } }
    let passive = try gradient {
      $0.rewrite("double.0.image.mlpOutput") { tensor, _, _ in tensor }
      $0.edit("single.0") { _, _ in }
      $0.attend("double.1") { call, _, next in next(call) }
    }
    #expect(try #require(plain.latents).isIdentical(to: try #require(passive.latents)))
  }

  @Test func changesOfAttentionAreGoneBackThrough() throws {
    let (model, input) = try Self.flux(), scalar = ScalarHead.squaredNorm
    let change = Acting { hooks in
      hooks.attend("double.*") { call, _, next in
        var call = call
        call.scaleLogits(query: .image, key: .text, by: 1.7)
        call.amplify([1], of: .text, for: .image, by: 3)
        call.dropValues(query: .text, key: .image)
        return next(call)
      }
      hooks.attend("single.0") { call, _, next in
        var call = call
        call.forbid(query: .image, key: .text)
        return next(call)
      }
    }
    let slope = try #require(
      model.gradient(
        of: .output(scalar), at: [.latents], input, pass: Self.pass(), processors: [change]
      ).latents)
    let size = slope.squared().sum().squareRoot().item
    func value(_ length: Float) throws -> Double {
      var moved = input
      moved.image += slope * (length / size)
      return Double(scalar.value(model(moved, hooks: try HookRun([change], on: model, pass: Self.pass()))))
    }
    let difference = try (value(0.01) - value(-0.01)) / 0.02
    #expect(abs(difference - Double(size)) < 0.01 * Double(size), "\(difference), expected \(size)")
  }

  @Test func mistakesAreErrors() throws {
    let (model, input) = try Self.flux()
    func take(_ scalar: Scalar, at places: [GradientPlace]) throws {
      _ = try model.gradient(of: scalar, at: places, input, pass: Self.pass())
    }
    #expect(throws: GradientError.self) { try take(.output(.sum), at: []) }
    #expect(throws: HookError.self) { try take(.output(.sum), at: ["double.9.image.query"]) }
    #expect(throws: HookError.self) { try take(.site("double.0.concepts.query", .sum), at: [.latents]) }
    let wrong = ScalarHead(value: { _ in 0 }, derivative: { _ in Tensor(zeros: [1]) })
    #expect(throws: GradientError.badDerivative(place: "the output", found: [1], expected: [2, 12, 8])) {
      try take(.output(wrong), at: [.latents])
    }
  }
}

extension Parameter {
  fileprivate var narrowed: Parameter { dense.map { .dense($0.converted(to: .bf16)) } ?? self }
  fileprivate var widened: Parameter { dense.map { .dense($0.converted(to: .f32)) } ?? self }
  private var dense: Tensor? { if case .dense(let tensor) = self { tensor } else { nil } }
}
