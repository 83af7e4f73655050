import Harness
import Models
import NN
import Tensor

extension Operations {
  /// A double block of FLUX, there and back: the gradient of the image tokens' product with a direction, with respect to the
  /// image tokens that enter, `[1, rows * columns, dim]`. The forward pass, the block run again, and the way back.
  @Sendable static func fluxDoubleGradient(_ one: Case) throws -> Workload {
    _ = try dtype(one, among: [.bf16])
    let config = try fluxConfig(one), rotary = try fluxPositions(one, config)
    let text = try one.size("text"), image = try one.size("rows") * one.size("columns"), dim = config.dim
    let imageTokens = Operand([1, image, dim], seed: 1), textTokens = Operand([1, text, dim], seed: 2)
    let conditioning = Operand([1, dim], seed: 3), direction = Operand([1, image, dim], seed: 4)
    let scalar = Scalar.output(.dot(direction.tensor))

    func streams() -> [Stream] {
      let reads: Set<StreamID> = [.text, .image]
      return [
        Stream(.text, tokens: textTokens.tensor, conditioning: conditioning.tensor, reads: reads),
        Stream(.image, tokens: imageTokens.tensor, conditioning: conditioning.tensor, rotary: rotary, reads: reads),
      ]
    }
    func gradient(_ block: FluxDoubleBlock) -> Tensor {
      let pass = Pass(steps: 1, grid: TokenGrid(height: 1, width: image))
      let gradient = try? BlockModel(block: block).gradient(of: scalar, at: [.latents], streams(), pass: pass)
      return gradient?.latents ?? Tensor(zeros: [0])
    }
    let block = try load(from: FormulaWeights(dtype: .bf16)) { FluxDoubleBlock(config, $0) }
    let tokens = Double(text + image), width = Double(dim)
    var reference: Tensor?
    return workload(
      limit: .bf16Arithmetic(3 * tokens * width * (24 * width + 4 * tokens)),
      inputs: [imageTokens, textTokens, conditioning, direction], output: (.f32, [1, image, dim]), tolerance: 4e-2,
      run: { gradient(block) },
      expected: { index in
        let expected =
          reference
          ?? gradient(FluxDoubleBlock(config, Weights(FormulaWeights(dtype: .f32)))).reshaped([image * dim])
        reference = expected
        return Double(expected.narrow(0, from: index, count: 1).item)
      })
  }
}

/// A model of one block: its inputs are its streams, its output the image tokens that leave it.
private struct BlockModel: DifferentiableModel {
  let block: FluxDoubleBlock

  var blocks: [BlockID] { [BlockID("double", 0)] }
  var textFamily: String { "double" }
  func streams(in block: BlockID) -> [StreamID] { [.text, .image] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { [.residualOutput] }
  func leaves(of input: [Stream]) -> InputTensors {
    InputTensors(latents: input[.image].tokens, text: input[.text].tokens, pooled: input[.image].conditioning)
  }
  func running(_ input: [Stream]) -> [(any JointBlock, BlockID)] { [(block, blocks[0])] }
  func streams(_ input: [Stream], _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) { (input, { $0 }) }
  func traceStreams(_ input: [Stream], _ leaves: InputVariables) -> [TracedEntry] {
    let conditioning = leaves.pooled ?? Variable(input[.image].conditioning)
    return [
      TracedEntry(.text, tokens: leaves.text, conditioning: conditioning),
      TracedEntry(.image, tokens: leaves.latents, conditioning: conditioning),
    ]
  }
  func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? { nil }
  func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: [Stream]) -> Variable { tokens }
}
