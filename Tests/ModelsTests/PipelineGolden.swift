import Models
import NN
import Tensor
import TestSupport
import Testing

/// A whole run, from prompt and seed to picture: the latents after every step and the picture, as diffusers gives them.
func checkPipeline(_ golden: GoldenCase) throws {
  let pipeline = try openPipeline(golden.path(try #require(golden.config.pipeline.string)))
  guard let flow = pipeline as? any FlowMatchPipeline else {
    Issue.record("\(golden.name): \(type(of: pipeline))")
    return
  }
  try check(golden, flow)
}

private func check(_ golden: GoldenCase, _ pipeline: some FlowMatchPipeline) throws {
  let request = try request(golden.config.call)
  var latents: [Tensor] = [], sigmas: [Float] = []
  let result = try pipeline.generate(request) { step in
    latents.append(step.latents)
    sigmas.append(step.sigma)
  }
  let bytes = result.bytes(), plan = try pipeline.plan(request)
  let schedule = try pipeline.schedule(steps: plan.steps, grid: plan.grid)
  var outputs = [
    "latents_per_step": stacked(latents), "image": result.image, "image_u8": bytes.expanded(axis: 0),
    "sigmas": Tensor(schedule.sigmas), "timesteps": Tensor(schedule.timesteps),
    "encoded.text_ids": Tensor(zeros: [plan.sequenceLength, 3]),
    "initial_latents": try pipeline.startingLatents(request, plan, schedule),
  ]
  #expect(sigmas == Array(schedule.sigmas.dropLast()))
  let prompts = [("", request.prompts)] + (plan.negativePrompt.map { [("negative_", [$0])] } ?? [])
  for (prefix, prompts) in prompts {
    let encoded = try pipeline.encode(prompts, maxSequenceLength: plan.sequenceLength, clipSkip: nil)
    outputs["encoded.\(prefix)prompt_embeds"] = encoded.states
    outputs["encoded.\(prefix)pooled_prompt_embeds"] = encoded.pooled
  }
  // A level on a rounding edge may fall either way.
  if let expected = try golden.outputs()["image_u8"] {
    let difference = (bytes.expanded(axis: 0).converted(to: .f32) - expected.converted(to: .f32)).absolute()
    #expect(difference.amax().item <= 1, "\(golden.name) image_u8")
    outputs["image_u8"] = expected
  }
  try expectOutputs(golden, outputs)

  // The same through several processors at once, none of which changes anything.
  let watched = try pipeline.generate(
    request, processors: ["mlpOutput", "attentionOutput", "query", "dualQuery"].map { ActivationReader($0) }
  ) { _ in }
  #expect(watched.image.isIdentical(to: result.image), "\(golden.name): processors that only look change the picture")
}

/// What diffusers' pipelines are called with.
private func request(_ call: JSON) throws -> GenerationRequest {
  var request = GenerationRequest(try #require(call.prompt.string))
  request.negativePrompt = call.negative_prompt.string
  request.width = call.width.int
  request.height = call.height.int
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
