import NN
import Tokenizers

/// Where the parts of a Stable Diffusion 3 model come from: a folder in the diffusers layout, of which every part that has
/// weights may be a single file instead.
///
/// A part that the folder does not have is looked for in the transformer's file: `sd3.5_large.safetensors` has the
/// autoencoder, some files have the text encoders too. The folder is needed for `model_index.json`, tokenizers and
/// scheduler.
public struct SD3Checkpoint: Sendable {
  public var folder: ModelFolder
  public var options: CheckpointOptions

  public init(folder: ModelFolder, _ options: CheckpointOptions = .init()) {
    self.folder = folder
    self.options = options
  }

  /// The transformer's configuration and weights, under diffusers' names. The shapes of a single file tell its
  /// configuration, and a `transformer/config.json` what no shape tells, see `SD3Config.init(inferredFrom:)`.
  ///
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`, `LoRAError`
  public func transformer() throws -> (config: SD3Config, weights: any WeightSource) {
    guard let path = options.transformerFile else {
      let config = try folder.config("transformer", as: SD3Config.self)
      return (config, try options.merged(folder.weights("transformer"), names(config)))
    }
    let weights = try SD3OriginalNames.renamed(openWeights(path), path: path)
    let described: SD3Config? = try options.described("transformer", folder)
    let config = try SD3Config(inferredFrom: weights, described: described, path: path)
    return (config, try options.merged(weights, names(config)))
  }

  private func names(_ config: SD3Config) -> SD3OriginalNames {
    SD3OriginalNames(dim: config.dim, layers: config.numLayers)
  }

  /// The autoencoder's configuration and weights, under diffusers' names.
  public func autoencoder() throws -> (config: AutoencoderKLConfig, weights: any WeightSource) {
    try options.autoencoder(of: folder, standard: .stableDiffusion3)
  }

  /// The text encoders. T5 is left out where `model_index.json` leaves it out
  /// (`"text_encoder_3": [null, null]`) and no file has it, or by choice.
  ///
  /// - Parameter dim: the transformer's `joint_attention_dim`
  /// - Throws: `ModelError` naming an encoder or tokenizer that is absent, `WeightReport`, `TokenizerError`
  public func textEncoders(dim: Int) throws -> SD3TextEncoders {
    let l = try clip(.clipL, "text_encoder"), g = try clip(.clipG, "text_encoder_2")
    let t5 = hasT5 ? try options.t5("text_encoder_3", of: folder, hint: "T5 can be left out, if you ask for it") : nil
    func tokenizer(_ component: String, _ vocabulary: Int) throws -> any Tokenizer {
      try folder.tokenizer(component, vocabulary: vocabulary)
    }
    let cache = options.phraseCache
    func part(
      _ component: String, _ part: (config: CLIPTextConfig, weights: any WeightSource)
    ) throws -> TextEncoderPart<CLIPTextEncoder> {
      let config = part.config
      return try TextEncoderPart(
        tokenizer(component, config.vocabularySize), config, part.weights, cache: cache
      ) { weights in
        try load(from: weights, allowUnused: CLIPTextEncoder.mayStayUnused) { CLIPTextEncoder(config, $0) }
      }
    }
    return SD3TextEncoders(
      clipL: try part("tokenizer", l), clipG: try part("tokenizer_2", g),
      t5: try t5.map { part in
        let config = part.config
        return try TextEncoderPart(
          tokenizer("tokenizer_3", config.vocabularySize), config, part.weights, cache: cache
        ) { weights in
          try load(from: weights, allowUnused: T5Encoder.mayStayUnused) { T5Encoder(config, $0) }
        }
      }, dim: dim)
  }

  private var hasT5: Bool {
    let component = "text_encoder_3"
    return !options.leftOut.contains(component) && (options.files[component] != nil || folder.has(component))
  }

  /// A file may lack the projection, which is then the identity; in a folder it is one of the encoder's weights.
  private func clip(
    _ kind: TextEncoderKind, _ component: String
  ) throws -> (config: CLIPTextConfig, weights: any WeightSource) {
    let part = try options.clip(
      kind, component, of: folder,
      hint: "Stable Diffusion 3 needs both CLIP encoders; only T5, text_encoder_3, can be left out")
    guard part.config.hasProjection || options.files[component] != nil else {
      throw ModelError(
        folder.folder(component), .badConfig("'text_projection.weight' is missing, which Stable Diffusion 3 needs"))
    }
    return part
  }
}
