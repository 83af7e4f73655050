import Models
import NN
import Tensor
import TestSupport
import Testing

/// A whole run, from prompt and seed to picture: the latents after every step and the picture, as diffusers gives them.
func checkPipeline(_ golden: GoldenCase) throws {
  let folder = try ModelFolder(golden.path(try #require(golden.config.pipeline.string)))
  switch folder.pipelineClass {
  case "FluxPipeline": try checkFluxPipeline(golden, FluxPipeline(folder: folder))
  case let other: Issue.record("\(golden.name): no pipeline for \(other)")
  }
}

private func checkFluxPipeline(_ golden: GoldenCase, _ pipeline: FluxPipeline) throws {
  let call = golden.config.call
  var request = GenerationRequest(try #require(call.prompt.string))
  request.negativePrompt = call.negative_prompt.string
  request.width = call.width.int
  request.height = call.height.int
  request.steps = call.num_inference_steps.int
  request.guidance = call.guidance_scale.float
  request.trueCFG = call.true_cfg_scale.float ?? 1
  request.seed = UInt64(try #require(call.seed.int))
  request.maxSequenceLength = call.max_sequence_length.int

  var latents: [Tensor] = [], sigmas: [Float] = []
  let result = try pipeline.generate(request) { step in
    latents.append(step.latents)
    sigmas.append(step.sigma)
  }
  let encoded = try pipeline.encode(request.prompts, try #require(request.maxSequenceLength))
  let grid = TokenGrid(
    height: try #require(request.height) / pipeline.sizeMultiple,
    width: try #require(request.width) / pipeline.sizeMultiple)
  let bytes = result.bytes()
  var outputs = [
    "latents_per_step": stacked(latents), "image": result.image, "image_u8": bytes.expanded(axis: 0),
    "sigmas": Tensor(sigmas + [0]), "timesteps": Tensor(sigmas) * 1000, "encoded.prompt_embeds": encoded.states,
    "encoded.pooled_prompt_embeds": encoded.pooled,
    "encoded.text_ids": Tensor(zeros: [try #require(request.maxSequenceLength), 3]),
    "initial_latents": try pipeline.startingNoise(request, grid),
  ]
  // A level on a rounding edge may fall either way.
  if let expected = try golden.outputs()["image_u8"] {
    let difference = (bytes.expanded(axis: 0).converted(to: .f32) - expected.converted(to: .f32)).absolute()
    #expect(difference.amax().item <= 1, "\(golden.name) image_u8")
    outputs["image_u8"] = expected
  }
  try expectOutputs(golden, outputs)

  // The same through several processors at once, none of which changes anything.
  let watched = try pipeline.generate(
    request, processors: [ActivationReader("mlpOutput"), ActivationReader("attentionOutput"), ActivationReader("query")]
  ) { _ in }
  #expect(watched.image.isIdentical(to: result.image), "\(golden.name): processors that only look change the picture")
}
