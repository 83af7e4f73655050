import NN

/// Where the parts of a CogVideoX model come from: a folder in the diffusers layout, of which every part that has weights may
/// be a single file instead, safetensors or GGUF, under diffusers' names.
public struct CogVideoXCheckpoint: Sendable {
  public var folder: ModelFolder
  public var options: CheckpointOptions

  public init(folder: ModelFolder, _ options: CheckpointOptions = .init()) {
    self.folder = folder
    self.options = options
  }

  /// The transformer's configuration and weights. A file needs the folder's `transformer/config.json` beside it: shapes do
  /// not tell heads, positions and the size a model was made for.
  ///
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`, `LoRAError`
  public func transformer() throws -> (config: CogVideoXConfig, weights: any WeightSource) {
    let config = try folder.config("transformer", as: CogVideoXConfig.self)
    let weights = try options.transformerFile.map { try openWeights($0) } ?? folder.weights("transformer")
    return (config, try options.merged(weights, nil))
  }

  /// The autoencoder's configuration and weights.
  public func autoencoder() throws -> (config: AutoencoderKLCogVideoXConfig, weights: any WeightSource) {
    let part = try options.part("vae", of: folder, prefixes: ["first_stage_model.", "vae."], hint: nil)
    return (
      try folder.config("vae", as: AutoencoderKLCogVideoXConfig.self), options.converted(part.weights)
    )
  }

  func t5() throws -> (config: T5Config, weights: any WeightSource) {
    try options.t5("text_encoder", of: folder, hint: nil)
  }
}
