import Foundation
import Harness
import Models
import NN
import Tensor

extension Operations {
  /// The image decoder of FLUX and Stable Diffusion 3: latents `[1, 16, size, size]` to `[1, 3, 8 size, 8 size]`.
  @Sendable static func imageDecoder(_ one: Case) throws -> Workload {
    let size = try one.size("size")
    let json = """
      {"latent_channels": 16, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32,
       "use_quant_conv": false, "use_post_quant_conv": false}
      """
    let config = try JSONDecoder().decode(AutoencoderKLConfig.self, from: Data(json.utf8))
    return try decoder(
      one, latents: [1, 16, size, size], output: [1, 3, 8 * size, 8 * size], make: { AutoencoderKL(config, $0) },
      decode: { $0.decode($1) })
  }

  /// CogVideoX's video decoder: latents `[1, 16, frames, rows, columns]`.
  @Sendable static func cogVideoXDecoder(_ one: Case) throws -> Workload {
    let frames = try one.size("frames"), rows = try one.size("rows"), columns = try one.size("columns")
    let config = try JSONDecoder().decode(AutoencoderKLCogVideoXConfig.self, from: Data("{}".utf8))
    let model = try load(from: FormulaWeights(dtype: .f32)) { AutoencoderKLCogVideoX(config, $0) }
    return try decoder(
      one, latents: [1, 16, frames, rows, columns],
      output: [1, 3, model.frames(ofLatents: frames), 8 * rows, 8 * columns],
      make: { AutoencoderKLCogVideoX(config, $0) }, decode: { $0.decode($1) })
  }

  /// The reference is the same decoder on `f32` weights, which differ by their rounding.
  private static func decoder<Model>(
    _ one: Case, latents: [Int], output: [Int], make: @escaping (Weights) -> Model,
    decode: @escaping (Model, Tensor) -> Tensor
  ) throws -> Workload {
    let dtype = try dtype(one, among: [.f32, .bf16])
    let latents = Operand(latents, seed: 1)
    let model = try load(from: FormulaWeights(dtype: dtype), make)
    var reference: Tensor?
    return workload(
      limit: .other, inputs: [latents], output: (.f32, output), tolerance: 5e-2,
      run: { decode(model, latents.tensor) },
      expected: { index in
        let expected = reference ?? decode(make(Weights(FormulaWeights(dtype: .f32))), latents.tensor)
        reference = expected
        return Double(expected.contiguous().reshaped([expected.count]).narrow(0, from: index, count: 1).item)
      })
  }
}
