import NN
import Tensor

extension StableDiffusion3Pipeline {
  /// Loads a folder in the diffusers layout.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`
  public init(folder: ModelFolder) throws { try self.init(SD3Checkpoint(folder: folder)) }

  /// Loads a folder in the diffusers layout, with parts of it replaced by single files, and LoRA files merged. Weights are
  /// mapped, not read.
  ///
  /// - Throws: `ModelError`, `WeightReport`, `TokenizerError`, `SafetensorsError`, `GGUFError`, `LoRAError`
  public init(_ checkpoint: SD3Checkpoint) throws {
    let folder = checkpoint.folder
    let (config, transformer) = try checkpoint.transformer(), (vaeConfig, vae) = try checkpoint.autoencoder()
    let encoders = try checkpoint.textEncoders(dim: config.jointAttentionDim)
    try Self.check(folder, config, encoders, vaeConfig)
    let inferred = checkpoint.options.transformerFile != nil
    var parts = WeightParts()
    var sd3 = try load(from: transformer, hint: config.hint(inferred: inferred), visit: { parts.add($0, $1) }) {
      SD3Transformer(config, $0)
    }
    let memory = WeightMemory(parts, of: sd3, transformer, limit: checkpoint.options.weightMemory)
    sd3.residency = memory.stream
    self.init(
      text: encoders, sd3: sd3,
      vae: try load(from: vae) { AutoencoderKL(vaeConfig, $0) },
      scheduler: try folder.config("scheduler", as: FlowMatchEulerScheduler.self, file: "scheduler_config.json"),
      defaults: try PipelineDefaults(folder: folder), weightMemory: memory)
  }

  /// Parts that do not fit each other would trap in the middle of a run.
  private static func check(
    _ folder: ModelFolder, _ sd3: SD3Config, _ encoders: SD3TextEncoders, _ vae: AutoencoderKLConfig
  ) throws {
    func fail(_ text: String) -> ModelError { ModelError(folder.path, .badConfig(text)) }
    let l = encoders.clipL.config, g = encoders.clipG.config
    if let t5 = encoders.t5?.config.dim, t5 != sd3.jointAttentionDim {
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

extension SD3Config {
  /// What tells a wrong checkpoint from a broken one.
  ///
  /// - Parameter inferred: whether the numbers come from the file's shapes rather than from a `config.json`
  func hint(inferred: Bool) -> String {
    let source = inferred ? "the file's shapes say" : "config.json says"
    return "\(source) attention_head_dim \(attentionHeadDim), num_attention_heads \(numAttentionHeads), "
      + "\(numLayers) blocks. Is this checkpoint Stable Diffusion 3?"
  }
}
