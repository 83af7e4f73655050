import ConceptAttention
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// A run of a CogVideoX transformer with concepts, as the authors' code has it: rows of zeros behind the concepts are
/// concepts too, as far as attention and softmax go, and both branches of guidance are one batch.
struct CogVideoXConceptCase {
  private let golden: GoldenCase
  private let inputs: [String: Tensor]
  private let model: CogVideoXTransformer
  private let schedule: CogVideoXSchedule

  init(_ golden: GoldenCase) throws {
    self.golden = golden
    inputs = try golden.inputs()
    let folder = golden.path(try #require(golden.config.model.string))
    let config = try JSONDecoder().decode(
      CogVideoXConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
    model = try load(from: SafetensorsWeights(folder: folder)) { CogVideoXTransformer(config, $0) }
    var settings = CogVideoXSchedule.Configuration()
    settings.prediction = .velocity
    settings.rescalesToZeroTerminalSNR = golden.config.scheduler.rescale_betas_zero_snr.bool ?? false
    settings.spacing = .trailing
    settings.snrShiftScale = golden.config.scheduler.snr_shift_scale.double ?? 3
    schedule = try CogVideoXSchedule(settings, steps: try #require(golden.config.num_steps.int))
  }

  func outputs() throws -> [String: Tensor] {
    // Both branches of guidance have the same concepts.
    let both = try #require(inputs["concepts"]), embeddings = both.narrow(0, from: 0, count: 1)
    #expect(embeddings.isIdentical(to: both.narrow(0, from: 1, count: 1)))
    let count = try #require(golden.config.num_concepts.int)
    let slots = (0..<embeddings.shape[1]).map { "slot \($0)" }
    var options = ConceptAttentionOptions(
      layers: Set(golden.config.layers.ints), steps: Set(golden.config.steps.ints))
    let maps = ConceptAttention(ConceptSet(slots, embeddings: embeddings), options: options, stream: "chosen")
    // The preset's padding: the same stream, of which only the concepts have maps.
    let names = (0..<count).map { "concept \($0)" }
    let padded = ConceptSet(names, embeddings: embeddings.narrow(1, from: 0, count: count)).padded(to: slots.count)
    #expect(padded.embeddings.isIdentical(to: embeddings) && padded.paddingTokens == slots.count - count)
    let authors = ConceptAttention(padded, options: options, stream: "authors")
    options.steps = nil
    options.keeping = [.steps]
    let everyStep = ConceptAttention(ConceptSet(slots, embeddings: embeddings), options: options)
    let spy = CogVideoXSpy(layers: model.config.numLayers)
    let latents = try #require(inputs["latents"]).shape
    let grid = model.grid(frames: latents[1], height: latents[3], width: latents[4])
    let pass = Pass(steps: schedule.timesteps.count, grid: grid, batch: 2)
    let run = try HookRun([maps, authors, everyStep, spy], on: model, pass: pass)
    var outputs = try denoise(run)
    try run.finish()
    outputs.merge(spy.outputs()) { $1 }
    // Of the conditional half.
    outputs["saliency_maps"] = own(try maps.maps().average, count)
    #expect(try authors.maps().average[1].isIdentical(to: #require(outputs["saliency_maps"])))
    outputs["saliency_per_step"] = stacked(
      try everyStep.maps().byStep.sorted { $0.key < $1.key }.map { own($0.value, count).flattened(from: 1) })
    outputs["timesteps"] = Tensor(schedule.timesteps.map { Float($0) })
    let cross = try #require(outputs["cross_logits"]), layers = golden.config.layers.ints
    let perStep = stacked(
      (0..<cross.shape[0]).map { step in
        let chosen = layers.map { cross[step, $0, 1].softmax(-2).narrow(0, from: 0, count: count) }
        return stacked(chosen).mean(0)
      })
    outputs["cross_per_step"] = perStep
    let shape = [count, grid.frames, grid.height, grid.width], steps = golden.config.steps.ints
    outputs["cross_maps"] = stacked(steps.map { perStep[$0].softmax(-2) }).mean(0).reshaped(shape)
    outputs["cross_maps_single_softmax"] = stacked(steps.map { perStep[$0] }).mean(0).reshaped(shape)
    return outputs
  }

  /// Maps of the real concepts in the conditional half, `[concepts, frames, height, width]`.
  private func own(_ maps: Tensor, _ count: Int) -> Tensor { maps[1].narrow(0, from: 0, count: count) }

  private func denoise(_ run: HookRun) throws -> [String: Tensor] {
    let text = try #require(inputs["txt"]), scale = try #require(golden.config.guidance.float)
    var latents = try #require(inputs["latents"])
    let size = latents.shape, positions = model.positions(frames: size[1], height: size[3], width: size[4])
    let sampler = CogVideoXDDIMSampler(schedule)
    var predictions: [Tensor] = [], path: [Tensor] = []
    for (step, timestep) in schedule.timesteps.enumerated() {
      run.pass.step = step
      let input = CogVideoXTransformer.Input(
        latents: concatenated([latents, latents]), text: text, timestep: [Float(timestep), Float(timestep)],
        positions: positions)
      let output = model(input, hooks: run)
      #expect(model(input).isIdentical(to: output), "concepts change the video")
      predictions.append(output)
      let halves = output.chunked(2, axis: 0)
      latents =
        sampler.step(latents, output: halves[0] + (halves[1] - halves[0]) * scale, timestep: timestep).sample
      path.append(latents)
    }
    return ["pred": stacked(predictions), "latents_per_step": stacked(path)]
  }
}

/// Records what the reference records, in the order of steps and layers.
private final class CogVideoXSpy: AttentionProcessor {
  private let layers: Int
  private var records: [String: [Tensor]] = [:]

  init(layers: Int) { self.layers = layers }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.read("*.*.concepts.residualOutput") { tensor, _, _ in
      self.records["concept_stream", default: []].append(tensor)
    }
    hooks.observe("*", record)
  }

  private func record(_ block: BlockView, _ pass: Pass) {
    guard let concept = block["concepts"], let video = block[.image] else { return }
    for (name, tensor) in [
      ("concept_out", concept.mergedOutput), ("image_out", video.mergedOutput),
      ("saliency_logits", Tensor.matmul(concept.mergedOutput, video.mergedOutput.transposed())),
      ("cross_logits", Tensor.matmul(concept.key, video.rotatedQuery.transposed()).mean(1)),
    ] { records[name, default: []].append(tensor) }
  }

  /// `[steps, layers, …]`
  func outputs() -> [String: Tensor] { records.mapValues { stacked($0).unflattened(0, -1, layers) } }
}
