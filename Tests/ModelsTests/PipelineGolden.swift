import EmbeddedModels
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// A whole run, from prompt and seed to picture: the latents after every step and the picture, as diffusers gives them.
func checkPipeline(_ golden: GoldenCase) throws {
  try check(golden, denoisingPipeline(golden.path(try #require(golden.config.pipeline.string))))
}

/// The same of a folder that leaves T5 out.
func checkPipelineWithoutT5(_ golden: GoldenCase) throws {
  let folder = golden.path(try #require(golden.config.pipeline.string))
  try withCopy(of: folder, without: ["text_encoder_3", "tokenizer_3"]) { try check(golden, denoisingPipeline($0)) }
}

/// A run that starts from a picture.
func checkImageToImage(_ golden: GoldenCase) throws {
  let pipeline: any DenoisingPipeline = try denoisingPipeline(golden.path(try #require(golden.config.pipeline.string)))
  var request = try request(golden.config.call)
  let strength: Double = try #require(golden.config.call.strength.double)
  request.startingImage = StartingImage(try #require(try golden.inputs()["image_u8"]), strength: strength)
  var latents: [Tensor] = []
  let result = try pipeline.generate(request, processors: []) { step in
    latents.append(step.latents)
    #expect(step.done == latents.count && step.total >= step.done)
  }
  let outputs = [
    "initial_latents": try pipeline.startingLatents(pipeline.plan(request)), "latents_per_step": stacked(latents),
    "image": result.frames.squeezed(1), "image_u8": result.image().unsqueezed(0),
  ]
  try expectOutputs(golden, roundingBytes(golden, outputs))
}

func denoisingPipeline(_ folder: String) throws -> any DenoisingPipeline {
  try #require(try openPipeline(folder) as? any DenoisingPipeline)
}

/// A folder that links to everything in `folder`, with some components taken out of it and of its index.
func withCopy<Result>(
  of folder: String, without components: [String], _ body: (String) throws -> Result
) throws -> Result {
  let files = FileManager.default
  let copy = files.temporaryDirectory.appendingPathComponent("pipeline-\(UUID().uuidString)").path
  try files.createDirectory(atPath: copy, withIntermediateDirectories: true)
  defer { try? files.removeItem(atPath: copy) }
  for entry in try files.contentsOfDirectory(atPath: folder)
  where entry != "model_index.json" && !components.contains(entry) {
    try files.createSymbolicLink(atPath: "\(copy)/\(entry)", withDestinationPath: "\(folder)/\(entry)")
  }
  let index = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model_index.json"))
  var entries = try #require(try JSONSerialization.jsonObject(with: index) as? [String: Any])
  for component in components { entries[component] = [NSNull(), NSNull()] }
  try JSONSerialization.data(withJSONObject: entries).write(to: URL(fileURLWithPath: "\(copy)/model_index.json"))
  return try body(copy)
}

/// A level on a rounding edge may fall either way: bytes that are off by one are taken for the expected ones.
private func roundingBytes(_ golden: GoldenCase, _ outputs: [String: Tensor]) throws -> [String: Tensor] {
  var outputs = outputs
  guard let expected = try golden.outputs()["image_u8"], let bytes = outputs["image_u8"] else { return outputs }
  let difference = (bytes.converted(to: .f32) - expected.converted(to: .f32)).absolute()
  #expect(difference.amax().item <= 1, "\(golden.name) image_u8")
  outputs["image_u8"] = expected
  return outputs
}

private func check(_ golden: GoldenCase, _ pipeline: some DenoisingPipeline) throws {
  var request = try request(golden.config.call)
  request.startingImage = try golden.inputs()["image_u8"].map { StartingImage($0) }
  var latents: [Tensor] = [], sigmas: [Float] = []
  let result = try pipeline.generate(request) { step in
    latents.append(step.latents)
    sigmas.append(step.level.sigma)
  }
  let plan = try pipeline.plan(request)
  let sampler = try pipeline.sampler(steps: plan.steps, grid: plan.grid)
  var outputs = [
    "latents_per_step": stacked(latents), "timesteps": Tensor(sampler.levels.map(\.timestep)),
    "encoded.text_ids": Tensor(zeros: [plan.maxSequenceLength, 3]),
  ]
  let start = try pipeline.start(plan)
  outputs["initial_latents"] = start.latents
  outputs["image_latents"] = start.image
  #expect(sigmas == sampler.levels.map(\.sigma))
  if let schedule = sampler as? FlowMatchSchedule { outputs["sigmas"] = Tensor(schedule.sigmas) }
  // Videos have an axis of frames, even those of one.
  let isVideo = pipeline is CogVideoXPipeline
  outputs["image"] = isVideo ? result.frames : result.frames.squeezed(1)
  outputs["image_u8"] = (isVideo ? result.video() : result.image()).unsqueezed(0)
  let prompts =
    [("", request.prompts)] + (plan.guidance.classifierFree.map { [("negative_", [$0.negativePrompt])] } ?? [])
  for (prefix, prompts) in prompts {
    let encoded = try pipeline.encode(prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: 0)
    outputs["encoded.\(prefix)prompt_embeds"] = encoded.states
    outputs["encoded.\(prefix)pooled_prompt_embeds"] = encoded.pooled
  }
  try expectOutputs(golden, roundingBytes(golden, outputs))

  // The same through several processors at once, none of which changes anything.
  let watched = try pipeline.generate(
    request, processors: ["mlpOutput", "attentionOutput", "query"].map { ActivationReader($0) }
  ) { _ in }
  #expect(watched.frames.isIdentical(to: result.frames), "\(golden.name): processors that only look change the picture")
}

/// What diffusers' pipelines are called with.
private func request(_ call: JSON) throws -> GenerationRequest {
  var request = GenerationRequest(try #require(call.prompt.string))
  request.negativePrompt = call.negative_prompt.string
  request.width = call.width.int
  request.height = call.height.int
  request.frames = call.num_frames.int
  request.usesDynamicGuidance = call.use_dynamic_cfg.bool ?? false
  request.steps = call.num_inference_steps.int
  request.guidance = call.guidance_scale.float
  request.trueCFG = call.true_cfg_scale.float
  request.seed = UInt64(try #require(call.seed.int))
  request.maxSequenceLength = call.max_sequence_length.int
  request.clipSkip = call.clip_skip.int
  if !call.skip_guidance_layers.isNull {
    var skip = SkipLayerGuidance(layers: Set(call.skip_guidance_layers.ints))
    if let scale = call.skip_layer_guidance_scale.float { skip.scale = scale }
    if let start = call.skip_layer_guidance_start.double { skip.start = start }
    if let stop = call.skip_layer_guidance_stop.double { skip.stop = stop }
    request.skipLayers = skip
  }
  return request
}
