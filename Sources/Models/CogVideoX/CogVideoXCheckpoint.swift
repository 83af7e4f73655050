import NN

/// Where the parts of a CogVideoX model come from: a folder in the diffusers layout, of which every part that has weights may
/// be a single file instead, safetensors or GGUF, under diffusers' names or those of the authors' `sat` code.
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
    guard let path = options.transformerFile else {
      return (config, try options.merged(folder.weights("transformer"), CogVideoXOriginalNames(dim: config.dim)))
    }
    let weights = try CogVideoXOriginalNames.renamed(openWeights(path), path: path)
    return (config, try options.merged(weights, CogVideoXOriginalNames(dim: config.dim)))
  }

  /// The autoencoder's configuration and weights.
  public func autoencoder() throws -> (config: AutoencoderKLCogVideoXConfig, weights: any WeightSource) {
    let part = try options.part("vae", of: folder, prefixes: ["first_stage_model.", "vae."], hint: nil)
    let config = try folder.config("vae", as: AutoencoderKLCogVideoXConfig.self)
    let weights = CogVideoXAutoencoderNames.renamed(part.weights, levels: config.blockOutChannels.count)
    return (config, options.converted(weights))
  }

  func t5() throws -> (config: T5Config, weights: any WeightSource) {
    try options.t5("text_encoder", of: folder, hint: nil)
  }
}
