import NN
import Tensor

/// The names that zai-org/CogVideo's `sat` code gives the transformer's layers, and what they are called in diffusers.
///
/// Source: diffusers `scripts/convert_cogvideox_to_diffusers.py`, `convert_transformer`; of LoRA files, CogVideo's
/// `tools/export_sat_lora_weight.py`.
public struct CogVideoXOriginalNames: OriginalNames {
  /// Width of the residual streams: where fused matrices are cut.
  public let dim: Int

  public init(dim: Int) { self.dim = dim }

  /// The transformer's weights under diffusers' names. A source with other names is returned as it is.
  ///
  /// The two modulations of a block are one matrix in the original, in an order of its own: they are put together in memory
  /// (1.6 GB in 5B's 16-bit types); every other weight stays where it lies.
  ///
  /// - Throws: `ModelError` when the names are the original ones but the first block's output projection is missing or no
  ///   matrix
  public static func renamed(_ source: any WeightSource, path: String) throws -> any WeightSource {
    let names = source.names
    guard let prefix = originalPrefix(names, families: ["transformer.layers."]) else { return source }
    let first = "\(prefix)transformer.layers.0.attention.dense.weight"
    guard let shape = source.shape(of: first), shape.count == 2, shape[0] > 0 else {
      throw ModelError(path, .badConfig("'\(first)' is not there or not a matrix: is this CogVideoX?"))
    }
    var origins = CogVideoXOriginalNames(dim: shape[0]).origins(of: names, prefix: prefix)
    let positions = "\(prefix)\(learnedPositions)"
    if source.shape(of: positions) != nil { origins["patch_embed.pos_embedding"] = .init(positions) }
    return RenamedWeights(source, origins, prefix: prefix)
  }

  private static let learnedPositions = "mixins.pos_embed.pos_embedding"

  /// What checkpoints hold beside weights: tables that are computed here, and an embedding of tokens that no layer sees.
  public static func mayStayUnused(_ name: String) -> Bool {
    ["embed_tokens", "freqs_sin", "freqs_cos", "position_embedding", "pos_embedding"].contains { name.contains($0) }
  }

  public func targets(of module: String) -> [RenamedWeights.Target] {
    if let target = Self.top[module] { return [.init(module: target, part: .whole)] }
    let words = module.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    // LoRA files in the names of diffusers' pipelines begin with `transformer.`, which is then taken away.
    if words.first == "layers" { return targets(of: "transformer.\(module)") }
    if words.count > 3, words[0] == "transformer", words[1] == "layers", let layer = Self.layer(words[2]) {
      return targets(layer, Self.block[words.dropFirst(3).joined(separator: ".")] ?? [])
    }
    guard words.count > 3, words[0] == "mixins", words[1] == "adaln_layer", let layer = Self.layer(words[3]) else {
      return []
    }
    switch (words[2], words.dropFirst(4).joined(separator: ".")) {
    case ("adaLN_modulations", "1"):
      // Shift, scale and gate of the attention, then of the MLP, for the video; and the same for the text.
      return [
        .init(module: "transformer_blocks.\(layer).norm1.linear", part: .chunks([0, 1, 2, 6, 7, 8], of: 12)),
        .init(module: "transformer_blocks.\(layer).norm2.linear", part: .chunks([3, 4, 5, 9, 10, 11], of: 12)),
      ]
    case ("query_layernorm_list", ""): return targets(layer, ["attn1.norm_q"])
    case ("key_layernorm_list", ""): return targets(layer, ["attn1.norm_k"])
    default: return []
    }
  }

  public func modules(of names: [String]) -> [String] {
    let layers = blockCount("transformer_blocks.", in: names)
    return Self.top.keys.sorted()
      + (0..<layers).flatMap { layer in
        Self.block.keys.sorted().map { "transformer.layers.\(layer).\($0)" }
          + ["mixins.adaln_layer.adaLN_modulations.\(layer).1"]
      }
  }

  private func targets(_ layer: Int, _ names: [String]) -> [RenamedWeights.Target] {
    names.enumerated().map { index, name in
      .init(
        module: "transformer_blocks.\(layer).\(name)",
        part: names.count == 1 ? .whole : .rows(index * dim..<(index + 1) * dim, of: names.count * dim))
    }
  }

  private static func layer(_ word: String) -> Int? {
    Int(word).flatMap { $0 >= 0 && String($0) == word ? $0 : nil }
  }

  private static let top = [
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "ofs_embed.0": "ofs_embedding.linear_1",
    "ofs_embed.2": "ofs_embedding.linear_2",
    "mixins.patch_embed.proj": "patch_embed.proj",
    "mixins.patch_embed.text_proj": "patch_embed.text_proj",
    "transformer.final_layernorm": "norm_final",
    "mixins.final_layer.norm_final": "norm_out.norm",
    "mixins.final_layer.linear": "proj_out",
    "mixins.final_layer.adaLN_modulation.1": "norm_out.linear",
  ]

  private static let block = [
    "input_layernorm": ["norm1.norm"],
    "post_attention_layernorm": ["norm2.norm"],
    "attention.query_key_value": ["attn1.to_q", "attn1.to_k", "attn1.to_v"],
    "attention.dense": ["attn1.to_out.0"],
    "mlp.dense_h_to_4h": ["ff.net.0.proj"],
    "mlp.dense_4h_to_h": ["ff.net.2"],
  ]
}

/// The names that the same code gives the layers of the autoencoder.
///
/// Source: diffusers `scripts/convert_cogvideox_to_diffusers.py`, `convert_vae`.
enum CogVideoXAutoencoderNames {
  /// The weights under diffusers' names. A source with other names is returned as it is.
  static func renamed(_ source: any WeightSource, levels: Int) -> any WeightSource {
    let names = source.names
    guard names.contains(where: { $0.hasPrefix("encoder.down.") || $0.hasPrefix("decoder.up.") }) else { return source }
    var origins: [String: RenamedWeights.Origin] = [:]
    for name in names where !name.hasPrefix("loss.") { origins[renamed(name, levels: levels)] = .init(name) }
    return RenamedWeights(source, origins)
  }

  /// What the training left in the file.
  static func mayStayUnused(_ name: String) -> Bool { name.hasPrefix("loss.") }

  private static func renamed(_ name: String, levels: Int) -> String {
    var words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard words.count > 3 else { return name }
    switch words[1] {
    case "down": words[1] = "down_blocks"
    case "up":
      // Counted from the pixels on, where diffusers counts from the latents.
      words[1] = "up_blocks"
      if let level = Int(words[2]), (0..<levels).contains(level) { words[2] = String(levels - 1 - level) }
    case "mid":
      words[1] = "mid_block"
      if let block = ["block_1": "resnets.0", "block_2": "resnets.1"][words[2]] { words[2] = block }
    default: return name
    }
    let layers = [
      "block": "resnets", "downsample": "downsamplers.0", "upsample": "upsamplers.0", "nin_shortcut": "conv_shortcut",
    ]
    return words.map { layers[$0] ?? $0 }.joined(separator: ".")
  }
}
