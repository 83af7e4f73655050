import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

func clipOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let folder = golden.path("text_encoder"), inputs = try golden.inputs()
  let config = try JSONDecoder().decode(
    CLIPTextConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  #expect(config.hasProjection == (golden.config["class"].string == "CLIPTextModelWithProjection"))
  let model = try load(from: SafetensorsWeights(folder: folder), allowUnused: CLIPTextEncoder.mayStayUnused) {
    CLIPTextEncoder(config, $0)
  }
  let output = model(try #require(inputs["input_ids"]))
  var outputs = [
    "last_hidden_state": output.lastHiddenState, "embeddings": output.hiddenStates[0],
    "penultimate_hidden_state": output.hiddenStates[output.hiddenStates.count - 2],
  ]
  outputs[output.projected == nil ? "pooler_output" : "text_embeds"] = output.projected ?? output.pooled
  return outputs
}

func t5Outputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let folder = golden.path("text_encoder"), inputs = try golden.inputs()
  let config = try JSONDecoder().decode(
    T5Config.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  let model = try load(from: SafetensorsWeights(folder: folder), allowUnused: T5Encoder.mayStayUnused) {
    T5Encoder(config, $0)
  }
  let states = model.hiddenStates(try #require(inputs["input_ids"]), attentionMask: inputs["attention_mask"])
  var outputs = ["last_hidden_state": try #require(states.last)]
  for (index, state) in states.dropLast().enumerated() { outputs["hidden_state.\(index)"] = state }
  return outputs
}

func sd3PromptOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs()
  let prompts = EncodedPrompts(
    clipL: (try #require(inputs["clip_l_penultimate"]), try #require(inputs["clip_l_pooled"])),
    clipG: (try #require(inputs["clip_g_penultimate"]), try #require(inputs["clip_g_pooled"])),
    t5: try #require(inputs["t5_last"]))
  return ["prompt_embeds": prompts.states, "pooled_prompt_embeds": prompts.pooled]
}

func autoencoderOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let folder = golden.path("vae"), inputs = try golden.inputs()
  let config = try JSONDecoder().decode(
    AutoencoderKLConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  let model = try load(from: SafetensorsWeights(folder: folder)) { AutoencoderKL(config, $0) }
  let posterior = model.encode(try #require(inputs["image"])), latent = try #require(inputs["latent"])
  return [
    "mean": posterior.mean, "logvar": posterior.logVariance, "scaled_latent": model.scaled(posterior.mean),
    "decoded": model.decode(latent), "decoded_from_scaled": model.decode(model.unscaled(latent)),
  ]
}
