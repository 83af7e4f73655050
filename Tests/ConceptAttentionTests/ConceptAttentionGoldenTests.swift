import ConceptAttention
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The method against an independent formulation in PyTorch, itself held against the authors' code.
@Suite struct ConceptAttentionGoldenTests {
  @Test(arguments: Golden.runs(ConceptKind.self)) func matchesReference(_ run: GoldenRun) throws {
    try Kernels.with(run.kernels) {
      switch try run.golden.kind(ConceptKind.self) {
      case .flux: try expectOutputs(run.golden, FluxConceptCase(run.golden).outputs())
      case .sd3: try expectOutputs(run.golden, SD3ConceptCase(run.golden).outputs())
      case .cogVideoX: try expectOutputs(run.golden, CogVideoXConceptCase(run.golden).outputs())
      case .fluxEncodeImage: try expectOutputs(run.golden, fluxEncodeImage(run.golden))
      case .encoding: try expectOutputs(run.golden, conceptEncoding(run.golden))
      }
    }
  }
}

/// A run of the FLUX transformer with concepts: vectors of every step and layer, and the maps made of them.
private struct FluxConceptCase {
  let golden: GoldenCase
  let inputs: [String: Tensor]
  let model: FluxTransformer
  let grid: TokenGrid

  init(_ golden: GoldenCase) throws {
    self.golden = golden
    inputs = try golden.inputs()
    let folder = golden.path(try #require(golden.config.model.string))
    let config = try JSONDecoder().decode(
      FluxConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
    model = try load(from: SafetensorsWeights(folder: folder)) { FluxTransformer(config, $0) }
    let size = golden.config.grid_hw.ints
    grid = TokenGrid(height: size[0], width: size[1])
  }

  func outputs() throws -> [String: Tensor] {
    let spy = ConceptSpy()
    let softmax = try processor("chosen", .softmax), plain = try processor("plain", .none)
    let late = try processor("late", .softmaxOfMean)
    // The recorded vectors are those of all steps and layers, whatever the maps are made of.
    let everywhere = ConceptAttention(softmax.concepts, options: everyStep(softmax.options))
    let run = try HookRun([everywhere, softmax, plain, late, spy], on: model, pass: Pass(steps: 1, grid: grid))
    var outputs = try denoise(run)
    try run.finish()
    outputs.merge(spy.outputs(layers: model.config.numLayers)) { $1 }
    outputs["saliency_maps"] = try softmax.maps().image
    outputs["cross_maps"] = try softmax.maps(.queryQuery).image
    outputs["saliency_maps_no_softmax"] = try plain.maps().image
    outputs["saliency_maps_mean_then_softmax"] = try late.maps().image
    return outputs
  }

  private func everyStep(_ options: ConceptAttentionOptions) -> ConceptAttentionOptions {
    var options = options
    options.layers = nil
    options.steps = nil
    return options
  }

  private func processor(_ name: StreamID, _ normalization: SaliencyNormalization) throws -> ConceptAttention {
    let embeddings = try #require(inputs["concepts"])
    let names = (0..<embeddings.shape[1]).map { "concept \($0)" }
    var options = ConceptAttentionOptions(
      layers: Set(golden.config.layers.ints), steps: Set(golden.config.steps.ints))
    options.spaces = [.output, .queryQuery]
    options.normalization = normalization
    let modes: [String: ConceptReads] = ["cross": .image, "self": .concepts, "neither": .nothing]
    if let mode = golden.config.mode.string { options.reads = modes[mode] ?? .conceptsAndImage }
    return ConceptAttention(
      ConceptSet(names, embeddings: embeddings, pooled: inputs["concept_pooled"]), options: options, stream: name)
  }

  private func denoise(_ run: HookRun) throws -> [String: Tensor] {
    let timesteps = golden.config.timesteps.array.compactMap(\.float)
    let stops = golden.config.stop_after_double.bool ?? false
    var image = try #require(inputs["img"])
    var predictions: [Tensor] = [], latents: [Tensor] = []
    for step in 0..<timesteps.count - 1 {
      run.pass.step = step
      let input = FluxTransformer.Input(
        image: image, text: try #require(inputs["txt"]), pooled: try #require(inputs["pooled"]),
        timestep: [Float](repeating: timesteps[step] * 1000, count: image.shape[0]),
        guidance: golden.config.guidance.float.map { [Float](repeating: $0, count: image.shape[0]) },
        positions: model.positions(grid: grid))
      if stops {
        model.look(input, hooks: run)
        break
      }
      let velocity = model(input, hooks: run)
      #expect(model(input).isIdentical(to: velocity), "concepts change the picture")
      image = image + velocity * (timesteps[step + 1] - timesteps[step])
      predictions.append(velocity)
      latents.append(image)
    }
    return predictions.isEmpty ? [:] : ["pred": stacked(predictions), "latents_per_step": stacked(latents)]
  }
}

extension SaliencyMaps {
  /// One frame: `[batch, concepts, height, width]`.
  fileprivate var image: Tensor { average.squeezed(2) }
}

/// Records what the reference records of the concept and image streams, in the order of steps and layers.
private final class ConceptSpy: AttentionProcessor {
  private var records: [String: [Tensor]] = [:]

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.read("*.*.concepts.residualOutput") { tensor, _, _ in
      self.records["concept_stream", default: []].append(tensor)
    }
    hooks.observe("double", record)
  }

  private func record(_ block: BlockView, _ pass: Pass) {
    guard let concept = block["concepts"], let image = block[.image] else { return }
    for (name, tensor) in [
      ("concept_out", concept.mergedOutput), ("image_out", image.mergedOutput), ("concept_q", concept.query),
      ("image_q", image.query), ("concept_k", concept.key), ("image_k", image.key),
      ("saliency_logits", Tensor.matmul(concept.mergedOutput, image.mergedOutput.transposed())),
      ("cross_logits", Tensor.matmul(concept.query.mergedHeads, image.query.mergedHeads.transposed())),
    ] { records[name, default: []].append(tensor) }
  }

  /// `[steps, layers, …]`
  func outputs(layers: Int) -> [String: Tensor] { records.mapValues { stacked($0).unflattened(0, -1, layers) } }
}

/// Maps of an existing picture, through the pipeline's own code.
private func fluxEncodeImage(_ golden: GoldenCase) throws -> [String: Tensor] {
  let config = golden.config, inputs = try golden.inputs()
  let pipeline = try FluxPipeline(folder: ModelFolder(golden.path(try #require(config.pipeline.string))))
  let phrases = try pipeline.encodePhrases(config.concepts.strings, maxSequenceLength: config.max_sequence_length.int)
  let concepts = try ConceptSet(phrases, tokens: .first, allowsUnknown: true)
  var options = ConceptAttentionOptions(layers: Set(config.layers.ints))
  options.spaces = [.output, .queryQuery]
  let image = try #require(inputs["image_u8"])
  var request = InspectionRequest(image: image)
  request.prompt = try #require(config.prompt.string)
  request.height = image.shape[0]
  request.width = image.shape[1]
  request.maxSequenceLength = config.max_sequence_length.int
  request.seed = UInt64(try #require(golden.json.seeds.noise_seed.int))
  request.samples = try #require(config.num_samples.int)
  let schedule = authorsSchedule(
    steps: try #require(config.num_steps.int), tokens: image.shape[0] * image.shape[1] / 256,
    shifted: config.shift.bool ?? false)
  request.noise = .levels([schedule[try #require(config.noise_timestep.int)]])
  request.zeroesPooledText = true

  var outputs: [String: Tensor] = [:]
  let spy = ConceptSpy(), method = ConceptAttention(concepts, options: options)
  var noised: [Tensor] = []
  try pipeline.inspect(request, processors: [method, spy]) { step in
    noised.append(step.latents)
    if step.done == 1 { outputs["saliency_maps_first_draw"] = try method.maps().image }
  }
  outputs.merge(spy.outputs(layers: pipeline.flux.config.numLayers)) { $1 }
  outputs["noisy_tokens"] = stacked(noised)
  outputs["saliency_maps"] = try method.maps().image
  outputs["cross_maps"] = try method.maps(.queryQuery).image
  outputs["schedule"] = Tensor(schedule)
  outputs["concepts"] = concepts.embeddings
  let length = try #require(request.maxSequenceLength)
  outputs["text"] = try pipeline.encode([request.prompt], maxSequenceLength: length).states
  outputs["latent"] = pipeline.encodeFrames(request.frames)
  return outputs
}

/// The authors' schedule: `steps + 1` levels from 1 to 0, shifted by the number of tokens as FLUX.1-dev shifts them.
private func authorsSchedule(steps: Int, tokens: Int, shifted: Bool) -> [Float] {
  let levels = Tensor(linspace: 1, 0, count: steps + 1).floats
  guard shifted else { return levels }
  let mu = 0.5 + (1.15 - 0.5) / (4096.0 - 256) * (Double(tokens) - 256)
  return levels.map { Float(exp(mu) / (exp(mu) + (1 / Double($0) - 1))) }
}

private func conceptEncoding(_ golden: GoldenCase) throws -> [String: Tensor] {
  let config = golden.config
  let folder = try ModelFolder(golden.path(try #require(config.pipeline.string)))
  switch folder.pipelineClass {
  case "FluxPipeline":
    let pipeline = try FluxPipeline(folder: folder)
    let phrases = try pipeline.encodePhrases(config.concepts.strings, maxSequenceLength: config.max_sequence_length.int)
    let concepts = try ConceptSet(phrases, tokens: .first, allowsUnknown: true)
    return [
      "concepts": concepts.embeddings,
      "concept_pooled": Tensor(zeros: [1, pipeline.flux.config.pooledProjectionDim]),
    ]
  case "StableDiffusion3Pipeline":
    let pipeline = try StableDiffusion3Pipeline(folder: folder), names = config.concepts.strings
    let sentence = try pipeline.encodePhrases(
      [names.joined(separator: " ")], maxSequenceLength: config.max_sequence_length.int)[0]
    return ["concepts": try ConceptSet(names, joined: sentence).embeddings]
  case "CogVideoXPipeline":
    let pipeline = try CogVideoXPipeline(CogVideoXCheckpoint(folder: folder))
    let phrases = try pipeline.encodePhrases(config.concepts.strings, maxSequenceLength: config.max_sequence_length.int)
    let own = try ConceptSet(phrases, tokens: .first, allowsUnknown: true).embeddings
    // The authors fill up with zeros, and have everything twice for guidance.
    let padding = Tensor(zeros: [1, try #require(config.slots.int) - phrases.count, own.shape[2]])
    let padded = concatenated([own, padding], axis: 1)
    return ["concepts": concatenated([padded, padded])]
  case let other:
    Issue.record("\(golden.name): no concept encoding for \(other)")
    return [:]
  }
}
