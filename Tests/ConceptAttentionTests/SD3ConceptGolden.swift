import ConceptAttention
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// A run of a Stable Diffusion 3 transformer with concepts: what the authors' code makes of it (`saliency_…`), and what
/// the paper says (`paper_…`).
struct SD3ConceptCase {
  private let golden: GoldenCase
  private let inputs: [String: Tensor]
  private let model: SD3Transformer
  private let grid: TokenGrid
  private let schedule: FlowMatchSchedule

  init(_ golden: GoldenCase) throws {
    self.golden = golden
    inputs = try golden.inputs()
    let folder = golden.path(try #require(golden.config.model.string))
    let config = try JSONDecoder().decode(
      SD3Config.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
    model = try load(from: SafetensorsWeights(folder: folder)) { SD3Transformer(config, $0) }
    let size = try #require(inputs["latents"]).shape, patch = config.patchSize
    grid = TokenGrid(height: size[2] / patch, width: size[3] / patch)
    var settings = FlowMatchEulerScheduler.Configuration()
    settings.trainTimesteps = golden.config.scheduler.num_train_timesteps.int ?? 1000
    settings.shift = golden.config.scheduler.shift.double ?? 1
    schedule = try FlowMatchEulerScheduler(settings).schedule(steps: try #require(golden.config.num_steps.int))
  }

  func outputs() throws -> [String: Tensor] {
    let spy = SD3Spy(layers: model.config.numLayers)
    var plainOptions = ConceptAttentionOptions.authorsSD3
    plainOptions.normalization = .none
    // Of all layers, for the scores of each.
    var everywhere = plainOptions
    everywhere.keeping = [.layers]
    let authors = try method("authors", chosen(.authorsSD3)), plain = try method("plain", chosen(plainOptions))
    let all = try method("concepts", everywhere), paper = try method("paper", chosen(.default))
    let batch = try #require(inputs["txt"]).shape[0]
    let run = try HookRun([authors, plain, all, paper, spy], on: model, pass: Pass(steps: 1, grid: grid, batch: batch))
    var outputs = try denoise(run)
    try run.finish()

    outputs.merge(spy.outputs()) { $1 }
    let maps = try authors.maps().average.squeezed(2)  // [batch, concepts, height, width]
    outputs["saliency_maps"] = maps[0]
    outputs["saliency_maps_conditional"] = maps[batch - 1]
    outputs["saliency_maps_no_softmax"] = try plain.maps().average.squeezed(2)[0]
    outputs["saliency_logits"] = stacked(
      try all.maps().byLayer.sorted { $0.key < $1.key }.map { $0.value.flattened(from: 2) })
    outputs["paper_maps"] = try paper.maps().average.squeezed(2)
    outputs["timesteps"] = Tensor(schedule.timesteps)
    outputs["sigmas"] = Tensor(schedule.sigmas)
    return outputs
  }

  private func chosen(_ options: ConceptAttentionOptions) -> ConceptAttentionOptions {
    var options = options
    options.layers = Set(golden.config.layers.ints)
    return options
  }

  private func method(_ stream: StreamID, _ options: ConceptAttentionOptions) throws -> ConceptAttention {
    let embeddings = try #require(inputs["concepts"])
    let names = (1..<embeddings.shape[1]).map { "concept \($0)" }
    return ConceptAttention(
      ConceptSet(names, embeddings: embeddings, leadingTokens: 1), options: options, stream: stream)
  }

  /// Both branches of guidance as one batch, unconditional first.
  private func denoise(_ run: HookRun) throws -> [String: Tensor] {
    let text = try #require(inputs["txt"]), scale = golden.config.guidance.float
    var latents = try #require(inputs["latents"]), steps = Array(0..<schedule.steps)
    let encodes = golden.config.mode.string == "encode"
    if encodes {
      let index = try #require(golden.config.timestep_index.int)
      steps = [index < 0 ? index + schedule.steps : index]
      latents = schedule.noised(
        try #require(inputs["clean"]), noise: try #require(inputs["noise"]), index: steps[0])
    }
    let first = latents
    var predictions: [Tensor] = [], path: [Tensor] = []
    for step in steps {
      run.pass.step = step
      let input = SD3Transformer.Input(
        latents: scale == nil ? latents : concatenated([latents, latents]), text: text,
        pooled: try #require(inputs["pooled"]),
        timestep: [Float](repeating: schedule.timesteps[step], count: text.shape[0]))
      let velocity = model(input, hooks: run)
      #expect(model(input).isIdentical(to: velocity), "concepts change the picture")
      predictions.append(velocity)
      if encodes { break }
      let halves = velocity.chunked(scale == nil ? 1 : 2, axis: 0)
      let guided = scale.map { halves[0] + (halves[1] - halves[0]) * $0 } ?? velocity
      latents = schedule.step(latents, velocity: guided, index: step)
      path.append(latents)
    }
    var outputs = ["pred": stacked(predictions), "noisy_latents": first]
    if !path.isEmpty { outputs["latents_per_step"] = stacked(path) }
    return outputs
  }
}

/// Records what the reference records, in the order of steps and layers.
private final class SD3Spy: AttentionProcessor {
  private let layers: Int
  private var records: [String: [Tensor]] = [:]

  init(layers: Int) { self.layers = layers }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    // The stream after a block is the one before the next. The last block does not change it.
    hooks.read("*.*.concepts.residualInput") { tensor, site, _ in
      if site.block.layer > 0 { self.records["concept_stream", default: []].append(tensor) }
      if site.block.layer == self.layers - 1 { self.records["concept_stream", default: []].append(tensor) }
    }
    hooks.observe("*", record)
  }

  private func record(_ block: BlockView, _ pass: Pass) {
    guard let concept = block["concepts"], let image = block[.image], let text = block[.text] else { return }
    let own = concept.mergedOutput.narrow(1, from: 1, count: concept.query.shape[2] - 1)
    for (name, tensor) in [
      ("concept_out", concept.mergedOutput), ("image_out_text_pass", image.mergedOutput),
      ("image_out_concept_pass", block.attention(query: .image, reads: [.image, "concepts"]).mergedHeads),
      ("prompt_cross_maps", Tensor.matmul(text.key, image.query.transposed()).mean(1)),
      ("concept_cross_maps", Tensor.matmul(concept.key, image.query.transposed()).mean(1)),
      ("paper_logits", Tensor.matmul(own, image.mergedOutput.transposed())),
    ] { records[name, default: []].append(tensor) }
  }

  /// `[steps, layers, …]`
  func outputs() -> [String: Tensor] { records.mapValues { stacked($0).unflattened(0, -1, layers) } }
}
