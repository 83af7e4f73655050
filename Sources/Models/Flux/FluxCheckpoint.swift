import NN

/// Where the parts of a FLUX.1 model come from: a folder in the diffusers layout, of which every part that has weights may
/// be a single file instead, safetensors or GGUF.
///
/// A part that the folder does not have is looked for in the transformer's file. The folder is needed for
/// `model_index.json`, tokenizers and scheduler.
public struct FluxCheckpoint: Sendable {
  public var folder: ModelFolder
  public var options: CheckpointOptions

  public init(folder: ModelFolder, _ options: CheckpointOptions = .init()) {
    self.folder = folder
    self.options = options
  }

  /// The transformer's configuration and weights, under diffusers' names.
  ///
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`, `LoRAError`
  public func transformer() throws -> (config: FluxConfig, weights: any WeightSource) {
    guard let path = options.transformerFile else {
      let config = try folder.config("transformer", as: FluxConfig.self)
      return (config, try options.merged(folder.weights("transformer"), FluxOriginalNames(dim: config.dim)))
    }
    let weights = try FluxOriginalNames.renamed(openWeights(path), path: path)
    // The one thing that no shape tells. A transformer folder is not needed for heads of 128.
    let described: FluxConfig? = try options.described("transformer", folder)
    let axes = described?.axesDimsRope
    let config = try FluxConfig(inferredFrom: weights, axes: axes, path: path)
    return (config, try options.merged(weights, FluxOriginalNames(dim: config.dim)))
  }

  /// The autoencoder's configuration and weights, under diffusers' names.
  public func autoencoder() throws -> (config: AutoencoderKLConfig, weights: any WeightSource) {
    try options.autoencoder(of: folder, standard: .flux1)
  }

  func clip() throws -> (config: CLIPTextConfig, weights: any WeightSource) {
    try options.clip(.clipL, "text_encoder", of: folder, hint: nil)
  }

  func t5() throws -> (config: T5Config, weights: any WeightSource) {
    try options.t5("text_encoder_2", of: folder, hint: nil)
  }
}
