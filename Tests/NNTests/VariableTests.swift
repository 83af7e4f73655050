import NN
import Tensor
import TestSupport
import Testing

/// Every operation on variables goes back the way that differences show.
@Suite struct VariableTests {
  private var random = Generator(seed: 4)

  /// Compares the slope of a random direction's product with the result, input by input, with what nudges along it do.
  private func check(
    _ what: String, _ inputs: [Tensor], _ body: ([Variable]) -> Variable,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let plain = body(inputs.map { Variable($0) }).value
    var generator = Generator(seed: 9)
    let direction = generator.randn(plain.shape)
    let leaves = inputs.map { Variable($0, needsGradient: true) }
    backpropagate([(body(leaves), direction)])
    for (index, leaf) in leaves.enumerated() {
      guard let slope = leaf.gradient, slope.shape == inputs[index].shape else {
        Issue.record("\(what): input \(index) has no gradient of its shape", sourceLocation: sourceLocation)
        continue
      }
      let size = slope.squared().sum().squareRoot().item
      func value(_ length: Float) -> Double {
        var moved = inputs
        moved[index] = inputs[index] + slope * (length / size)
        return Double((body(moved.map { Variable($0) }).value * direction).converted(to: .f64).sum().item)
      }
      let difference = (value(0.01) - value(-0.01)) / 0.02
      #expect(
        abs(difference - Double(size)) < 0.01 * Double(size),
        "\(what), input \(index): \(difference), expected \(size)",
        sourceLocation: sourceLocation)
    }
  }

  @Test mutating func arithmetic() {
    let a = random.randn([2, 3, 8]), b = random.randn([8]), gate = random.randn([2, 8])
    check("+", [a, b]) { $0[0] + $0[1] }
    check("+ constant", [a]) { $0[0] + b }
    check("*", [a, b]) { $0[0] * $0[1] }
    check("* number", [a]) { $0[0] * 3 }
    check("gated", [a, random.randn([2, 3, 8]), gate]) { $0[0].adding($0[1], gatedBy: $0[2]) }
    check("a variable used twice", [a]) { ($0[0] * $0[0]) + $0[0] }
  }

  @Test mutating func shapes() {
    let x = random.randn([2, 6, 8])
    check("heads", [x]) { $0[0].splitHeads(2).mergedHeads(2) * $0[0] }
    check("chunks", [x]) {
      let parts = $0[0].chunked(4)
      return parts[3] * parts[1]
    }
    check("patches", [x]) { $0[0].rearranged("b (h w) (p q) -> b (h p) (w q)", ["h": 2, "w": 3, "p": 2, "q": 4]) }
  }

  @Test mutating func layers() throws {
    let x = random.randn([2, 5, 8]), vector = random.randn([2, 8])
    let weights = RandomWeights(seed: 2)
    let wide = try load(from: weights) { Linear(8, 6, $0) }
    check("linear", [x]) { wide($0[0]) }
    check("parts", [x.narrow(2, from: 0, count: 3), x.narrow(2, from: 3, count: 5)]) { wide(parts: $0) }
    for variant in [FeedForward.Variant.gelu, .geluApproximate, .geglu] {
      let feedForward = try load(from: weights) { FeedForward(8, variant: variant, $0) }
      check("\(variant)", [x]) { feedForward.down(feedForward.hidden($0[0])) }
    }
    let norm = try load(from: weights) { LayerNorm(8, $0) }, root = try load(from: weights) { RMSNorm(8, $0) }
    check("layer norm", [x]) { norm($0[0]) }
    check("modulated", [x, vector, random.randn([2, 8])]) { norm($0[0], scale: $0[1], shift: $0[2]) }
    check("RMS norm", [x]) { root($0[0]) }
    let embedding = try load(from: weights) { TimestepTextEmbedding(8, pooledDim: 6, guidance: true, $0) }
    check("embedding", [random.randn([2, 6])]) { embedding(timestep: [3, 400], guidance: [1, 2], pooled: $0[0]) }
    let continuous = try load(from: weights) { AdaLayerNormContinuous(8, conditioningDim: 8, $0) }
    check("continuous", [x, vector]) { continuous($0[0], $0[1]) }
    let last = try load(from: weights) { AdaLayerNorm(conditioningDim: 8, 8, $0) }
    check("last", [x, vector]) { last($0[0], $0[1]) }
    let patches = try load(from: weights) {
      PatchEmbedding(channels: 3, dim: 8, patchSize: 2, sampleSize: 8, maxSize: 4, $0)
    }
    check("patch embedding", [random.randn([2, 3, 4, 6])]) { patches($0[0]) }
    let table = RotaryTable.flux(ids: random.randn([5, 1]), axes: [8])
    check("rotation", [random.randn([2, 3, 5, 8])]) { table.rotate($0[0]) }
  }

  @Test mutating func attention() {
    let inputs = [5, 4, 4, 3, 3].map { random.randn([2, 3, $0, 8]) }, mask = random.randn([1, 3, 5, 7])
    check("attention", inputs) { $0[0].attended(to: [($0[1], $0[2]), ($0[3], $0[4])], mask: mask, scale: 0.4) }
  }

  @Test func whatNobodyNeedsIsNotComputed() {
    var computed: [String] = []
    func step(_ name: String, _ input: Variable) -> Variable {
      Variable(of: input, vjp: { $0 * 2 }) { x in
        computed.append(name)
        return x * 2
      }
    }
    let x = Variable(Tensor(ones: [3]), needsGradient: true)
    backpropagate([(step("second", step("first", x)), Tensor(ones: [3]))])
    #expect(computed.isEmpty)
    #expect(x.gradient?.floats == [4, 4, 4])
  }

  @Test func aGradientGoesOnlyWhereOneIsWanted() {
    let x = Variable(Tensor(ones: [2])), y = Variable(Tensor([3, 4]), needsGradient: true)
    let sum = x * x + y, product = sum * y
    product.keepsGradient = true
    #expect(!(x * x).needsGradient && sum.needsGradient)
    backpropagate([(product, Tensor(ones: [2]))])
    #expect(x.gradient == nil && sum.gradient == nil)
    #expect(y.gradient?.floats == [7, 9])
    #expect(product.gradient?.floats == [1, 1])
  }

  @Test func aModelOfOnesOwnThatDoesNotAdoptItIsNamed() throws {
    let model = try Toy()
    #expect(throws: GradientError.notDifferentiable(BlockID("toy", 1), half: "ToyHalf")) {
      try model.gradient(
        of: .output(.sum), at: [.latents], ToyModel.Input(batch: 1),
        pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 5)))
    }
  }
}

/// The toy model, whose halves have no way back.
private struct Toy: DifferentiableModel {
  let model: ToyModel
  init() throws { model = try ToyModel() }

  var blocks: [BlockID] { model.blocks }
  var textFamily: String { model.textFamily }
  func streams(in block: BlockID) -> [StreamID] { model.streams(in: block) }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { model.points(of: stream, in: block) }
  func leaves(of input: ToyModel.Input) -> InputTensors { InputTensors(latents: input.image, text: input.text) }
  func running(_ input: ToyModel.Input) -> [(any JointBlock, BlockID)] {
    zip(model.toyBlocks, blocks).map { ($0, $1) }
  }
  func streams(_ input: ToyModel.Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) {
    let reads: Set<StreamID> = [.text, .image]
    return (
      [
        Stream(.text, tokens: input.text, conditioning: input.conditioning, reads: reads),
        Stream(
          .image, tokens: input.image, conditioning: input.conditioning, rotary: input.rotary, reads: reads),
      ], { $0 }
    )
  }
  func traceStreams(_ input: ToyModel.Input, _ leaves: InputVariables) -> [TracedEntry] { [] }
  func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? { nil }
  func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: ToyModel.Input) -> Variable { tokens }
}
