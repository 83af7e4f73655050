import NN
import Tensor

extension StableDiffusion3Pipeline {
  /// Loads a folder in the diffusers layout. Weights are mapped, not read.
  ///
  /// T5 may be left out, by `"text_encoder_3": [null, null]` in `model_index.json`; its tokens are then zeros, as in
  /// diffusers.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`
  public init(folder: ModelFolder, _ options: CheckpointOptions = .init()) throws {
    if options.transformerFile != nil {
      throw ModelError(folder.path, .unsupported("a single file for the transformer of Stable Diffusion 3 cannot be read"))
    }
    let config = try folder.config("transformer", as: SD3Config.self)
    let vaeConfig = try folder.config("vae", as: AutoencoderKLConfig.self)
    var textWeights: [any WeightSource] = []
    let encoders = try SD3TextEncoders(folder: folder, dim: config.jointAttentionDim) { name in
      textWeights.append(options.converted(try folder.weights(name)))
      return textWeights[textWeights.count - 1]
    }
    try Self.check(folder, config, encoders, vaeConfig)
    self.init(
      textEncoders: encoders,
      sd3: try load(from: options.merged(folder.weights("transformer")), hint: config.hint) {
        SD3Transformer(config, $0)
      },
      vae: try load(from: options.autoencoder(folder)) { AutoencoderKL(vaeConfig, $0) },
      scheduler: try FlowMatchEulerScheduler(
        folder.config("scheduler", as: FlowMatchEulerScheduler.Configuration.self, file: "scheduler_config.json")),
      defaults: try PipelineDefaults(folder: folder), textWeights: textWeights)
  }

  /// Parts that do not fit each other would trap in the middle of a run.
  private static func check(
    _ folder: ModelFolder, _ sd3: SD3Config, _ encoders: SD3TextEncoders, _ vae: AutoencoderKLConfig
  ) throws {
    func fail(_ text: String) -> ModelError { ModelError(folder.path, .badConfig(text)) }
    let l = encoders.clipL.encoder.config, g = encoders.clipG.encoder.config
    if let t5 = encoders.t5?.encoder.config.dim, t5 != sd3.jointAttentionDim {
      throw fail("joint_attention_dim \(sd3.jointAttentionDim) of the transformer, d_model \(t5) of text_encoder_3")
    }
    guard l.dim + g.dim <= sd3.jointAttentionDim else {
      throw fail(
        "hidden_size \(l.dim) of text_encoder and \(g.dim) of text_encoder_2 together exceed joint_attention_dim "
          + "\(sd3.jointAttentionDim)")
    }
    guard l.projectionDim + g.projectionDim == sd3.pooledProjectionDim else {
      throw fail(
        "pooled_projection_dim \(sd3.pooledProjectionDim) of the transformer, projection_dim \(l.projectionDim) of "
          + "text_encoder and \(g.projectionDim) of text_encoder_2: expected their sum")
    }
    guard sd3.inChannels == vae.latentChannels, sd3.outChannels == vae.latentChannels else {
      throw fail(
        "in_channels \(sd3.inChannels) and out_channels \(sd3.outChannels) of the transformer, latent_channels "
          + "\(vae.latentChannels) of the vae")
    }
  }
}

extension SD3TextEncoders {
  /// - Throws: `ModelError` naming an encoder that is absent
  init(folder: ModelFolder, dim: Int, weights: (String) throws -> any WeightSource) throws {
    for (encoder, tokenizer) in [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")] {
      try Self.require(
        folder, encoder, "Stable Diffusion 3 needs both CLIP encoders; only text_encoder_3 (T5) can be left out")
      try Self.require(folder, tokenizer, "\(encoder) needs it")
    }
    let hasT5 = folder.has("text_encoder_3")
    if hasT5 {
      try Self.require(
        folder, "text_encoder_3", "to run without T5, write \"text_encoder_3\": [null, null] into model_index.json")
      try Self.require(folder, "tokenizer_3", "text_encoder_3 needs it")
    }
    self.init(
      clipL: try Self.clip(folder, "text_encoder", "tokenizer", weights),
      clipG: try Self.clip(folder, "text_encoder_2", "tokenizer_2", weights),
      t5: hasT5 ? try Self.t5(folder, weights) : nil, dim: dim)
  }

  private static func require(_ folder: ModelFolder, _ component: String, _ hint: String) throws {
    guard folder.has(component), folder.exists(component) else {
      throw ModelError(folder.path, .missingFile(component, hint: hint))
    }
  }

  private static func clip(
    _ folder: ModelFolder, _ name: String, _ tokenizer: String, _ weights: (String) throws -> any WeightSource
  ) throws -> Part<CLIPTextEncoder> {
    let config = try folder.config(name, as: CLIPTextConfig.self)
    guard config.hasProjection else {
      throw ModelError(
        folder.folder(name),
        .badConfig("architectures do not name CLIPTextModelWithProjection, which Stable Diffusion 3 needs"))
    }
    return Part(
      try loadTokenizer(folder: folder.folder(tokenizer)),
      try load(from: weights(name), allowUnused: CLIPTextEncoder.mayStayUnused) { CLIPTextEncoder(config, $0) })
  }

  private static func t5(
    _ folder: ModelFolder, _ weights: (String) throws -> any WeightSource
  ) throws -> Part<T5Encoder> {
    let config = try folder.config("text_encoder_3", as: T5Config.self)
    return Part(
      try loadTokenizer(folder: folder.folder("tokenizer_3")),
      try load(from: weights("text_encoder_3"), allowUnused: T5Encoder.mayStayUnused) { T5Encoder(config, $0) })
  }
}

extension SD3Config {
  var hint: String {
    "config.json says attention_head_dim \(attentionHeadDim), num_attention_heads \(numAttentionHeads), "
      + "num_layers \(numLayers). Is this checkpoint Stable Diffusion 3?"
  }
}
