import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// A whole FLUX transformer: the output, and both residual streams after every block.
func fluxOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let (model, input) = try fluxPass(golden)
  let cache = ActivationReader("residualOutput")
  let run = try HookRun([cache], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  var outputs = ["sample": model(input, hooks: run)]
  #expect(model(input).isIdentical(to: outputs["sample"] ?? Tensor(0)), "a reader changes the result")
  for (site, tensor) in cache.tensors {
    outputs["\(site.block).\(site.stream == .image ? "hidden" : "encoder")"] = tensor
  }
  return outputs
}

/// A whole Stable Diffusion 3 transformer: the output, and both residual streams after every block that runs.
func sd3Outputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let (model, input) = try sd3Pass(golden)
  let cache = ActivationReader("residualOutput")
  let run = try HookRun([cache], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  var outputs = ["sample": model(input, hooks: run)]
  #expect(model(input).isIdentical(to: outputs["sample"] ?? Tensor(0)), "a reader changes the result")
  for (site, tensor) in cache.tensors {
    outputs["block.\(site.block.layer).\(site.stream == .image ? "hidden" : "encoder")"] = tensor
  }
  return outputs
}

/// A whole CogVideoX transformer: the output, both residual streams after every block, and the positions it computes
/// itself where the case has some.
func cogVideoXOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let (model, input) = try cogVideoXPass(golden), inputs = try golden.inputs()
  if let cosines = inputs["rope_cos"], let sines = inputs["rope_sin"] {
    let rotary = try #require(input.positions.rotary)
    expectClose(rotary.cos, cosines, golden.tolerance, "\(golden.name) rope_cos")
    expectClose(rotary.sin, sines, golden.tolerance, "\(golden.name) rope_sin")
  }
  let cache = ActivationReader("residualOutput")
  let run = try HookRun([cache], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  var outputs = ["sample": model(input, hooks: run)]
  #expect(model(input).isIdentical(to: outputs["sample"] ?? Tensor(0)), "a reader changes the result")
  for (site, tensor) in cache.tensors {
    outputs["block.\(site.block.layer).\(site.stream == .image ? "hidden" : "encoder")"] = tensor
  }
  return outputs
}

/// The transformer of a case, and what it is given.
func fluxPass(_ golden: GoldenCase) throws -> (FluxTransformer, FluxTransformer.Input) {
  let folder = golden.path(golden.config.model.string ?? "transformer"), inputs = try golden.inputs()
  let config = try JSONDecoder().decode(
    FluxConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  let model = try load(from: SafetensorsWeights(folder: folder)) { FluxTransformer(config, $0) }
  let size = golden.config.grid_hw.ints, grid = TokenGrid(height: size[0], width: size[1])
  let input = FluxTransformer.Input(
    image: try #require(inputs["hidden"]), text: try #require(inputs["encoder"]),
    pooled: try #require(inputs["pooled"]), timestep: try #require(inputs["timestep"]).floats.map { $0 * 1000 },
    guidance: inputs["guidance"]?.floats, positions: model.positions(grid: grid))
  return (model, input)
}

func sd3Pass(_ golden: GoldenCase) throws -> (SD3Transformer, SD3Transformer.Input) {
  let folder = golden.path(golden.config.model.string ?? "transformer"), inputs = try golden.inputs()
  let config = try JSONDecoder().decode(
    SD3Config.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  let model = try load(from: SafetensorsWeights(folder: folder)) { SD3Transformer(config, $0) }
  let input = SD3Transformer.Input(
    latents: try #require(inputs["hidden"]), text: try #require(inputs["encoder"]),
    pooled: try #require(inputs["pooled"]), timestep: try #require(inputs["timestep"]).floats,
    skippedLayers: Set(golden.config.skip_layers.ints))
  return (model, input)
}

func cogVideoXPass(_ golden: GoldenCase) throws -> (CogVideoXTransformer, CogVideoXTransformer.Input) {
  let inputs = try golden.inputs(), latents = try #require(inputs["hidden"])
  let model = try cogVideoX(golden.path(golden.config.model.string ?? "transformer"))
  let positions = model.positions(frames: latents.shape[1], height: latents.shape[3], width: latents.shape[4])
  let input = CogVideoXTransformer.Input(
    latents: latents, text: try #require(inputs["encoder"]),
    timestep: try #require(inputs["timestep"]).converted(to: .f32).floats, positions: positions)
  return (model, input)
}

/// The CogVideoX transformer of a folder in the diffusers layout.
func cogVideoX(_ folder: String) throws -> CogVideoXTransformer {
  let config = try JSONDecoder().decode(
    CogVideoXConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  return try load(from: SafetensorsWeights(folder: folder)) { CogVideoXTransformer(config, $0) }
}

/// Keeps what passes one point of every block.
final class ActivationReader: AttentionProcessor {
  private let point: String
  private(set) var tensors: [Site: Tensor] = [:]

  init(_ point: String) { self.point = point }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    // Not every model has every point.
    for site in model.sites where site.point.rawValue == point {
      hooks.read(SitePattern(site)) { tensor, site, _ in self.tensors[site] = tensor }
    }
  }
}
