import Harness
import Models
import NN
import Tensor

extension Operations {
  /// A double block of FLUX: bf16 weights, `f32` activations; the result is its image tokens, `[1, rows * columns, dim]`.
  @Sendable static func fluxDouble(_ one: Case) throws -> Workload {
    let config = try fluxConfig(one)
    return try block(one, rotary: try fluxPositions(one, config)) { FluxDoubleBlock(config, $0) }
  }

  /// A single block of FLUX.
  @Sendable static func fluxSingle(_ one: Case) throws -> Workload {
    let config = try fluxConfig(one)
    return try block(one, rotary: try fluxPositions(one, config)) { FluxSingleBlock(config, $0) }
  }

  /// A joint block of Stable Diffusion 3.5 Large.
  @Sendable static func sd3Joint(_ one: Case) throws -> Workload {
    let dim = try one.size("dim"), heads = try one.size("heads")
    return try block(one) { SD3Block(dim: dim, heads: heads, queryKeyNorm: true, $0) }
  }

  /// A block of CogVideoX 5B; `rows` counts those of all frames.
  @Sendable static func cogVideoXBlock(_ one: Case) throws -> Workload {
    let dim = try one.size("dim"), heads = try one.size("heads"), frames = try one.size("frames")
    let rotary = RotaryTable.cogVideoX(
      headDim: dim / heads, frames: frames, height: try one.size("rows") / frames, width: try one.size("columns"),
      grid: .slice)
    return try block(one, rotary: rotary, conditioningDim: 512) {
      CogVideoXBlock(dim: dim, heads: heads, conditioningDim: 512, $0)
    }
  }

  static func fluxConfig(_ one: Case) throws -> FluxConfig {
    let heads = try one.size("heads")
    return FluxConfig(attentionHeadDim: try one.size("dim") / heads, numAttentionHeads: heads, guidanceEmbeds: false)
  }

  static func fluxPositions(_ one: Case, _ config: FluxConfig) throws -> RotaryTable {
    let columns = try one.size("columns"), count = try one.size("rows") * columns
    let ids: [Float] = (0..<count).flatMap { (token: Int) -> [Float] in
      [0, Float(token / columns), Float(token % columns)]
    }
    return .flux(ids: Tensor(ids, shape: [count, 3]), axes: config.axesDimsRope)
  }

  /// The reference is the same block on `f32` weights, which differ by their rounding.
  private static func block(
    _ one: Case, rotary: RotaryTable? = nil, conditioningDim: Int? = nil, _ make: @escaping (Weights) -> some JointBlock
  ) throws -> Workload {
    _ = try dtype(one, among: [.bf16])
    let dim = try one.size("dim"), text = try one.size("text"), image = try one.size("rows") * one.size("columns")
    let imageTokens = Operand([1, image, dim], seed: 1), textTokens = Operand([1, text, dim], seed: 2)
    let conditioning = Operand([1, conditioningDim ?? dim], seed: 3)
    let block = try load(from: FormulaWeights(dtype: .bf16), make)

    func imageOutput(_ block: some JointBlock) -> Tensor {
      let reads: Set<StreamID> = [.text, .image]
      var streams = [
        Stream(.text, tokens: textTokens.tensor, conditioning: conditioning.tensor, reads: reads),
        Stream(.image, tokens: imageTokens.tensor, conditioning: conditioning.tensor, rotary: rotary, reads: reads),
      ]
      runJointBlock(block, BlockID("benchmark", 0), &streams, hooks: nil)
      return streams[1].tokens
    }
    // Per token 12 products of dim x dim, whether for two streams with weights of their own or for one of both.
    let tokens = Double(text + image), width = Double(dim)
    var reference: Tensor?
    return workload(
      limit: .bf16Arithmetic(tokens * width * (24 * width + 4 * tokens)),
      inputs: [imageTokens, textTokens, conditioning], output: (.f32, [1, image, dim]), tolerance: 2e-2,
      run: { imageOutput(block) },
      expected: { index in
        let expected = reference ?? imageOutput(make(Weights(FormulaWeights(dtype: .f32)))).reshaped([image * dim])
        reference = expected
        return Double(expected.narrow(0, from: index, count: 1).item)
      })
  }
}
