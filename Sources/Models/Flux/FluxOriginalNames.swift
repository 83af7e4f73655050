import NN
import Tensor

/// The names that black-forest-labs/flux gives the transformer's layers (`flux1-schnell.safetensors`, GGUF files,
/// LoRA files of kohya's scripts), and what they are called in diffusers.
///
/// Source: diffusers `convert_flux_transformer_checkpoint_to_diffusers`.
public struct FluxOriginalNames: OriginalNames {
  /// Width of the residual streams: where fused matrices are cut.
  public let dim: Int

  public init(dim: Int) { self.dim = dim }

  /// The transformer's weights under diffusers' names. A source with other names is returned as it is.
  ///
  /// - Throws: `ModelError` when the names are the original ones but the image embedder is missing or not a matrix
  public static func renamed(_ source: any WeightSource, path: String) throws -> any WeightSource {
    let names = source.names
    guard let prefix = originalPrefix(names, families: ["double_blocks.", "single_blocks."]) else { return source }
    guard let shape = source.shape(of: "\(prefix)img_in.weight"), shape.count == 2, shape[0] > 0 else {
      throw ModelError(path, .badConfig("'\(prefix)img_in.weight' is not there or not a matrix: is this FLUX.1?"))
    }
    let origins = FluxOriginalNames(dim: shape[0]).origins(of: names, prefix: prefix)
    return RenamedWeights(source, origins, prefix: prefix)
  }

  /// What an original module, such as `double_blocks.3.img_attn.qkv`, is in diffusers; empty when it is unknown.
  public func targets(of module: String) -> [RenamedWeights.Target] {
    if let target = Self.top[module] {
      return [.init(module: target, part: module.hasPrefix("final_layer.ada") ? .exchangedHalves : .whole)]
    }
    let words = module.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    guard words.count == 3, let index = Int(words[1]), String(index) == words[1], index >= 0 else { return [] }
    let family = words[0] == "double_blocks" ? Self.double : words[0] == "single_blocks" ? Self.single : [:]
    let block = words[0] == "double_blocks" ? "transformer_blocks" : "single_transformer_blocks"
    let names = family[words[2]] ?? []
    return zip(names, parts(names.count)).map { .init(module: "\(block).\(index).\($0)", part: $1) }
  }

  public func modules(of names: [String]) -> [String] {
    func modules(_ original: String, _ family: [String: [String]], _ count: Int) -> [String] {
      (0..<count).flatMap { index in family.keys.sorted().map { "\(original).\(index).\($0)" } }
    }
    return Self.top.keys.sorted()
      + modules("double_blocks", Self.double, blockCount("transformer_blocks.", in: names))
      + modules("single_blocks", Self.single, blockCount("single_transformer_blocks.", in: names))
  }

  /// Query, key, value, and in single blocks the MLP's first layer, which is four times as wide.
  private func parts(_ count: Int) -> [RenamedWeights.Part] {
    if count == 1 { return [.whole] }
    let total = count == 3 ? 3 * dim : 7 * dim
    return (0..<count).map { .rows($0 * dim..<($0 == 3 ? total : ($0 + 1) * dim), of: total) }
  }

  // MARK: Tables

  private static let top = [
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
    // Shift, then scale; diffusers' AdaLayerNormContinuous has scale, then shift.
    "final_layer.adaLN_modulation.1": "norm_out.linear",
  ]

  private static let double = [
    "img_mod.lin": ["norm1.linear"],
    "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "img_attn.norm.query_norm": ["attn.norm_q"],
    "img_attn.norm.key_norm": ["attn.norm_k"],
    "img_attn.proj": ["attn.to_out.0"],
    "img_mlp.0": ["ff.net.0.proj"],
    "img_mlp.2": ["ff.net.2"],
    "txt_mod.lin": ["norm1_context.linear"],
    "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "txt_attn.norm.query_norm": ["attn.norm_added_q"],
    "txt_attn.norm.key_norm": ["attn.norm_added_k"],
    "txt_attn.proj": ["attn.to_add_out"],
    "txt_mlp.0": ["ff_context.net.0.proj"],
    "txt_mlp.2": ["ff_context.net.2"],
  ]

  private static let single = [
    "modulation.lin": ["norm.linear"],
    "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
    "linear2": ["proj_out"],
    "norm.query_norm": ["attn.norm_q"],
    "norm.key_norm": ["attn.norm_k"],
  ]
}
