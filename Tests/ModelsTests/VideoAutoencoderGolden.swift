import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// CogVideoX's autoencoder in both directions.
func videoAutoencoderOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs(), tiling = golden.config.tiling
  var model = try videoAutoencoder(golden.path(golden.config.vae.string ?? "vae")) { config in
    config.sampleHeight = tiling.sample_height.int ?? config.sampleHeight
    config.sampleWidth = tiling.sample_width.int ?? config.sampleWidth
  }
  if !tiling.isNull { model.tilesAbovePixels = 0 }
  let posterior = model.encode(try #require(inputs["video"])), latent = try #require(inputs["latent"])
  return [
    "mean": posterior.mean, "logvar": posterior.logVariance, "decoded": model.decode(latent),
    "decoded_from_mean": model.decode(posterior.mean),
  ]
}

/// The video autoencoder of a folder in the diffusers layout.
func videoAutoencoder(
  _ folder: String, _ change: (inout AutoencoderKLCogVideoXConfig) -> Void = { _ in }
) throws -> AutoencoderKLCogVideoX {
  var config = try JSONDecoder().decode(
    AutoencoderKLCogVideoXConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  change(&config)
  return try load(from: SafetensorsWeights(folder: folder)) { AutoencoderKLCogVideoX(config, $0) }
}
