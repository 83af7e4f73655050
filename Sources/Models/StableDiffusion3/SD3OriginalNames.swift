import NN
import Tensor

/// The names that Stability AI's sd3.5 gives the transformer's layers (`sd3.5_large.safetensors`, GGUF files, LoRA files of
/// kohya's scripts), and what they are called in diffusers.
///
/// Source: diffusers `convert_sd3_transformer_checkpoint_to_diffusers`.
public struct SD3OriginalNames: OriginalNames {
  /// Width of the residual streams: where fused matrices are cut.
  public let dim: Int
  public let layers: Int

  public init(dim: Int, layers: Int) {
    self.dim = dim
    self.layers = layers
  }

  /// The transformer's weights under diffusers' names. A source with other names is returned as it is.
  ///
  /// - Throws: `ModelError` when the names are the original ones but the patch embedder is missing or no convolution
  public static func renamed(_ source: any WeightSource, path: String) throws -> any WeightSource {
    let names = source.names
    guard let prefix = originalPrefix(names, families: ["joint_blocks."]) else { return source }
    guard let shape = source.shape(of: "\(prefix)x_embedder.proj.weight"), shape.count == 4, shape[0] > 0 else {
      throw ModelError(
        path,
        .badConfig("'\(prefix)x_embedder.proj.weight' is not there or no convolution: is this Stable Diffusion 3?"))
    }
    let table = SD3OriginalNames(dim: shape[0], layers: blockCount("\(prefix)joint_blocks.", in: names))
    var origins = table.origins(of: names, prefix: prefix)
    if source.shape(of: "\(prefix)pos_embed") != nil { origins["pos_embed.pos_embed"] = .init("\(prefix)pos_embed") }
    return RenamedWeights(source, origins, prefix: prefix)
  }

  public func targets(of module: String) -> [RenamedWeights.Target] {
    if let target = Self.top[module] {
      return [.init(module: target, part: module.hasPrefix("final_layer.ada") ? .exchangedHalves : .whole)]
    }
    let words = module.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    guard words.count == 3, words[0] == "joint_blocks", let layer = Int(words[1]), String(layer) == words[1],
      (0..<layers).contains(layer), let names = Self.block[words[2]]
    else { return [] }
    // The text half that ends at the attention has shift, then scale; diffusers' AdaLayerNormContinuous scale, then shift.
    let isLastNorm = layer == layers - 1 && words[2] == "context_block.adaLN_modulation.1"
    return names.enumerated().map { index, name in
      let part: RenamedWeights.Part =
        names.count == 3 ? .rows(index * dim..<(index + 1) * dim, of: 3 * dim) : isLastNorm ? .exchangedHalves : .whole
      return .init(module: "transformer_blocks.\(layer).\(name)", part: part)
    }
  }

  public func modules(of names: [String]) -> [String] {
    Self.top.keys.sorted()
      + (0..<layers).flatMap { layer in Self.block.keys.sorted().map { "joint_blocks.\(layer).\($0)" } }
  }

  // MARK: Tables

  private static let top = [
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
    // Shift, then scale; diffusers' AdaLayerNormContinuous has scale, then shift.
    "final_layer.adaLN_modulation.1": "norm_out.linear",
  ]

  private static let block = [
    "x_block.adaLN_modulation.1": ["norm1.linear"],
    "x_block.attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "x_block.attn.ln_q": ["attn.norm_q"],
    "x_block.attn.ln_k": ["attn.norm_k"],
    "x_block.attn.proj": ["attn.to_out.0"],
    "x_block.attn2.qkv": ["attn2.to_q", "attn2.to_k", "attn2.to_v"],
    "x_block.attn2.ln_q": ["attn2.norm_q"],
    "x_block.attn2.ln_k": ["attn2.norm_k"],
    "x_block.attn2.proj": ["attn2.to_out.0"],
    "x_block.mlp.fc1": ["ff.net.0.proj"],
    "x_block.mlp.fc2": ["ff.net.2"],
    "context_block.adaLN_modulation.1": ["norm1_context.linear"],
    "context_block.attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "context_block.attn.ln_q": ["attn.norm_added_q"],
    "context_block.attn.ln_k": ["attn.norm_added_k"],
    "context_block.attn.proj": ["attn.to_add_out"],
    "context_block.mlp.fc1": ["ff_context.net.0.proj"],
    "context_block.mlp.fc2": ["ff_context.net.2"],
  ]
}
