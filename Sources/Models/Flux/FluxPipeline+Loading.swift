import NN
import Tensor

extension FluxPipeline {
  /// Loads a folder in the diffusers layout. Weights are mapped, not read: this takes milliseconds.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`
  public init(folder: ModelFolder) throws { try self.init(FluxCheckpoint(folder: folder)) }

  /// Loads a folder in the diffusers layout with parts of it replaced by single files, and LoRA files merged.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`, `GGUFError`, `LoRAError`
  public init(_ checkpoint: FluxCheckpoint) throws {
    let folder = checkpoint.folder
    let (fluxConfig, transformer) = try checkpoint.transformer()
    let (clipConfig, clip) = try checkpoint.clip(), (t5Config, t5) = try checkpoint.t5()
    let (vaeConfig, vae) = try checkpoint.autoencoder()
    try FluxPipeline.check(folder, fluxConfig, clipConfig, t5Config, vaeConfig)
    let inferred = checkpoint.options.transformerFile != nil, cache = checkpoint.options.phraseCache
    var parts = WeightParts()
    var flux = try load(from: transformer, hint: fluxConfig.hint(inferred: inferred), visit: { parts.add($0, $1) }) {
      FluxTransformer(fluxConfig, $0)
    }
    let memory = WeightMemory(parts, of: flux, transformer, limit: checkpoint.options.weightMemory)
    flux.residency = memory.stream
    self.init(
      clip: try TextEncoderPart(
        folder.tokenizer("tokenizer", vocabulary: clipConfig.vocabularySize), clipConfig, clip, cache: cache
      ) { weights in
        try load(from: weights, allowUnused: CLIPTextEncoder.mayStayUnused) { CLIPTextEncoder(clipConfig, $0) }
      },
      t5: try TextEncoderPart(
        folder.tokenizer("tokenizer_2", vocabulary: t5Config.vocabularySize), t5Config, t5, cache: cache
      ) { weights in
        try load(from: weights, allowUnused: T5Encoder.mayStayUnused) { T5Encoder(t5Config, $0) }
      },
      flux: flux, vae: try load(from: vae) { AutoencoderKL(vaeConfig, $0) },
      scheduler: try folder.config("scheduler", as: FlowMatchEulerScheduler.self, file: "scheduler_config.json"),
      defaults: try PipelineDefaults(folder: folder), weightMemory: memory)
  }

  /// Parts that do not fit each other would trap in the middle of a run.
  private static func check(
    _ folder: ModelFolder, _ flux: FluxConfig, _ clip: CLIPTextConfig, _ t5: T5Config, _ vae: AutoencoderKLConfig
  ) throws {
    func fail(_ text: String) -> ModelError { ModelError(folder.path, .badConfig(text)) }
    guard flux.jointAttentionDim == t5.dim else {
      throw fail(
        "joint_attention_dim \(flux.jointAttentionDim) of the transformer, d_model \(t5.dim) of text_encoder_2")
    }
    guard flux.pooledProjectionDim == clip.dim else {
      throw fail(
        "pooled_projection_dim \(flux.pooledProjectionDim) of the transformer, hidden_size \(clip.dim) of text_encoder")
    }
    guard flux.inChannels == 4 * vae.latentChannels else {
      throw fail(
        "in_channels \(flux.inChannels) of the transformer, latent_channels \(vae.latentChannels) of the vae: "
          + "expected 4 to 1")
    }
    if let output = flux.outChannels, output != flux.inChannels {
      throw fail("out_channels \(output) of the transformer, in_channels \(flux.inChannels): expected the same")
    }
  }
}

extension FluxConfig {
  /// What tells a wrong checkpoint from a broken one.
  ///
  /// - Parameter inferred: whether the numbers come from the file's shapes rather than from a `config.json`
  func hint(inferred: Bool) -> String {
    let source = inferred ? "the file's shapes say" : "config.json says"
    return "\(source) attention_head_dim \(attentionHeadDim), num_attention_heads \(numAttentionHeads), "
      + "\(numLayers) double and \(numSingleLayers) single blocks. Is this checkpoint FLUX.1?"
  }
}
