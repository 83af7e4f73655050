import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The transformer of a method's case with its inputs, whatever the family.
struct MethodModel {
  let golden: GoldenCase
  let inputs: [String: Tensor]
  let transformer: any StreamModel
  let grid: TokenGrid
  /// Latents, as the transformer takes them.
  let latents: Tensor
  private let predict: (_ latents: Tensor, _ inputs: [String: Tensor], _ time: Float, HookRun?) -> Tensor
  private let sampler: (any Sampler)?

  init(_ golden: GoldenCase) throws {
    let inputs = try golden.inputs(), config = golden.config
    self.golden = golden
    self.inputs = inputs
    let folder = golden.path(try #require(config.model.string))
    func read<Config: Decodable>(_ type: Config.Type) throws -> Config {
      try JSONDecoder().decode(type, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
    }
    let weights = try SafetensorsWeights(folder: folder)
    switch config["class"].string {
    case "FluxTransformer2DModel":
      let settings = try read(FluxConfig.self), model = try load(from: weights) { FluxTransformer(settings, $0) }
      let size = config.grid_hw.ints, guidance = config.guidance.float
      let grid = TokenGrid(height: size[0], width: size[1])
      (transformer, self.grid, latents, sampler) = (model, grid, try #require(inputs["img"]), nil)
      let positions = model.positions(grid: grid)
      predict = { latents, inputs, time, run in
        let batch = latents.shape[0]
        return model(
          .init(
            image: latents, text: inputs["txt"] ?? latents, pooled: inputs["pooled"] ?? latents,
            timestep: [Float](repeating: time * 1000, count: batch),
            guidance: guidance.map { [Float](repeating: $0, count: batch) }, positions: positions), hooks: run)
      }
    case "SD3Transformer2DModel":
      let settings = try read(SD3Config.self), model = try load(from: weights) { SD3Transformer(settings, $0) }
      latents = try #require(inputs["latents"])
      let size = latents.shape
      grid = TokenGrid(height: size[2] / settings.patchSize, width: size[3] / settings.patchSize)
      (transformer, sampler) = (model, nil)
      predict = { latents, inputs, time, run in
        model(
          .init(
            latents: latents, text: inputs["txt"] ?? latents, pooled: inputs["pooled"] ?? latents,
            timestep: [Float](repeating: time * 1000, count: latents.shape[0])), hooks: run)
      }
    case "CogVideoXTransformer3DModel":
      let settings = try read(CogVideoXConfig.self)
      let model = try load(from: weights) { CogVideoXTransformer(settings, $0) }
      latents = try #require(inputs["latents"])
      let size = latents.shape
      var given = model.positions(frames: size[1], height: size[3], width: size[4])
      // Cases may have sizes that the pipeline's rule would crop otherwise.
      if let cos = inputs["rope_cos"], let sin = inputs["rope_sin"] { given.rotary = RotaryTable(cos: cos, sin: sin) }
      let positions = given
      grid = model.grid(frames: size[1], height: size[3], width: size[4])
      transformer = model
      sampler = try Self.sampler(config)
      predict = { latents, inputs, time, run in
        model(
          .init(
            latents: latents, text: inputs["txt"] ?? latents,
            timestep: [Float](repeating: time, count: latents.shape[0]), positions: positions), hooks: run)
      }
    case let other:
      Issue.record("\(golden.name): no transformer \(other ?? "without a class")")
      throw UnknownClass()
    }
  }

  private struct UnknownClass: Error {}

  private static func sampler(_ config: JSON) throws -> (any Sampler)? {
    guard let steps = config.num_steps.int else { return nil }
    var settings = CogVideoXSchedule.Configuration()
    settings.prediction = .velocity
    settings.rescalesToZeroTerminalSNR = config.scheduler.rescale_betas_zero_snr.bool ?? false
    settings.spacing = .trailing
    settings.snrShiftScale = config.scheduler.snr_shift_scale.double ?? 3
    return CogVideoXDDIMSampler(try CogVideoXSchedule(settings, steps: steps))
  }

  /// Blocks as the reference counts them, through the whole model.
  var blocks: [BlockID] { transformer.blocks }

  /// One pass with processors.
  func callAsFunction(
    _ processors: [any AttentionProcessor] = [], inputs changed: [String: Tensor] = [:]
  ) throws -> Tensor {
    try once(processors, time: #require(golden.config.time.float), inputs: changed)
  }

  /// One pass at any time.
  func once(
    _ processors: [any AttentionProcessor] = [], time: Float = 0.5, inputs changed: [String: Tensor] = [:]
  ) throws -> Tensor {
    try run(processors, steps: 1) { run in
      predict(latents, inputs.merging(changed) { $1 }, time, run)
    }
  }

  private func run<Result>(
    _ processors: [any AttentionProcessor], steps: Int, _ body: (HookRun?) throws -> Result
  ) throws -> Result {
    if processors.isEmpty { return try body(nil) }
    let pass = Pass(steps: steps, grid: grid, batch: latents.shape[0])
    let run = try HookRun(processors, on: transformer, pass: pass)
    let result = try body(run)
    try run.finish()
    return result
  }

  /// What one step of a run started from and came to.
  struct Step {
    let before, prediction, after: Tensor
  }

  /// A run of several steps.
  ///
  /// - Parameter plain: whether every step's prediction without processors is wanted too
  func denoise(_ processors: [any AttentionProcessor]) throws -> [Step] {
    let levels = golden.config.timesteps.array.compactMap(\.float)
    let count = sampler?.levels.count ?? levels.count - 1
    return try run(processors, steps: count) { run in
      var sampler = sampler, latents = latents
      return (0..<count).map { index in
        let time = sampler?.levels[index].timestep ?? levels[index], before = latents
        run?.pass.step = index
        run?.pass.sigma = time
        run?.predictedClean = { prediction in
          sampler?.predictedClean(before, output: prediction, at: index) ?? before - prediction * time
        }
        let prediction = predict(before, inputs, time, run)
        latents =
          sampler?.step(before, output: prediction, at: index) { Tensor(zeros: before.shape) }
          ?? before + prediction * (levels[index + 1] - levels[index])
        return Step(before: before, prediction: prediction, after: latents)
      }
    }
  }

  /// The prediction without any processor at some latents.
  func plain(_ latents: Tensor, at index: Int) -> Tensor {
    predict(latents, inputs, sampler?.levels[index].timestep ?? golden.config.timesteps[index].float ?? 0, nil)
  }

  /// `[…, tokens]` laid out as the picture or video.
  func unflattened(_ x: Tensor) -> Tensor {
    let isVideo = latents.rank == 5, sides = (isVideo ? [grid.frames] : []) + [grid.height, grid.width]
    return x.reshaped(Array(x.shape.dropLast()) + sides)
  }

  /// Maps without a batch and, for pictures, without frames.
  func picture(_ maps: Tensor) -> Tensor { unflattened(maps[0].flattened(from: 1)) }
}

/// Calls a function with every block.
final class BlockReader: AttentionProcessor {
  private let body: (BlockView, Pass) -> Void
  init(_ body: @escaping (BlockView, Pass) -> Void) { self.body = body }
  func install(_ hooks: inout HookPlan, on model: any StreamModel) { hooks.observe("*", body) }
}

extension JSON {
  /// Lists of numbers.
  var lists: [[Int]] { array.map(\.ints) }
}

/// Positions in the text stream, named by their number.
func named(_ tokens: [[Int]], _ prefix: String = "") -> [(name: String, tokens: [Int])] {
  tokens.enumerated().map { ("\(prefix)\($0)", $1) }
}
