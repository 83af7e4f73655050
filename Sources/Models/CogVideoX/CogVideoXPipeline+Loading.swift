import NN
import Tensor

extension CogVideoXPipeline {
  /// Loads a folder in the diffusers layout, with parts of it replaced by single files, and LoRA files merged. Weights are
  /// mapped, not read.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`, `GGUFError`,
  ///   `LoRAError`
  public init(_ checkpoint: CogVideoXCheckpoint) throws {
    let folder = checkpoint.folder
    let (config, transformer) = try checkpoint.transformer(), (vaeConfig, vae) = try checkpoint.autoencoder()
    let (t5Config, t5) = try checkpoint.t5()
    try Self.check(folder, config, t5Config, vaeConfig)
    var parts = WeightParts()
    var cogVideoX = try load(
      from: transformer, allowUnused: CogVideoXOriginalNames.mayStayUnused, hint: config.hint,
      visit: { parts.add($0, $1) }
    ) { CogVideoXTransformer(config, $0) }
    let memory = WeightMemory(parts, of: cogVideoX, transformer, limit: checkpoint.options.weightMemory)
    cogVideoX.residency = memory.stream
    self.init(
      t5: try TextEncoderPart(
        folder.tokenizer("tokenizer", vocabulary: t5Config.vocabularySize), t5Config, t5,
        cache: checkpoint.options.phraseCache
      ) { weights in
        try load(from: weights, allowUnused: T5Encoder.mayStayUnused) { T5Encoder(t5Config, $0) }
      },
      cogVideoX: cogVideoX,
      vae: try load(from: vae, allowUnused: CogVideoXAutoencoderNames.mayStayUnused) {
        AutoencoderKLCogVideoX(vaeConfig, $0)
      },
      scheduler: try folder.config("scheduler", as: CogVideoXScheduler.self, file: "scheduler_config.json"),
      defaults: try PipelineDefaults(folder: folder), weightMemory: memory)
  }

  /// Parts that do not fit each other would trap in the middle of a run.
  private static func check(
    _ folder: ModelFolder, _ config: CogVideoXConfig, _ t5: T5Config, _ vae: AutoencoderKLCogVideoXConfig
  ) throws {
    func fail(_ text: String) -> ModelError { ModelError(folder.path, .badConfig(text)) }
    guard config.textEmbedDim == t5.dim else {
      throw fail("text_embed_dim \(config.textEmbedDim) of the transformer, d_model \(t5.dim) of text_encoder")
    }
    guard config.outChannels == vae.latentChannels else {
      throw fail(
        "out_channels \(config.outChannels) of the transformer, latent_channels \(vae.latentChannels) of the vae")
    }
    guard config.temporalCompressionRatio == vae.temporalCompressionRatio else {
      throw fail(
        "temporal_compression_ratio \(config.temporalCompressionRatio) of the transformer, "
          + "\(vae.temporalCompressionRatio) of the vae")
    }
  }
}

extension CogVideoXConfig {
  /// What tells a wrong checkpoint from a broken one.
  var hint: String {
    "config.json says attention_head_dim \(attentionHeadDim), num_attention_heads \(numAttentionHeads), "
      + "\(numLayers) blocks. Is this checkpoint CogVideoX?"
  }
}
