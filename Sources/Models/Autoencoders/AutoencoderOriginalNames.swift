import NN

/// The names of the original autoencoders (`ae.safetensors`; CompVis latent-diffusion), and what they are in diffusers.
///
/// Source: diffusers `convert_ldm_vae_checkpoint`.
public enum AutoencoderOriginalNames {
  /// The autoencoder's weights under diffusers' names. A source with other names is returned as it is.
  public static func renamed(_ source: any WeightSource) -> any WeightSource {
    let names = source.names
    let prefixes = ["", "first_stage_model.", "vae."]
    guard let prefix = prefixes.first(where: { prefix in names.contains { $0.hasPrefix("\(prefix)decoder.mid.") } })
    else { return source }
    let modules = names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    let levels = modules.compactMap { name -> Int? in
      let words = name.split(separator: ".")
      return words.count > 2 && words[0] == "decoder" && words[1] == "up" ? Int(words[2]) : nil
    }.max().map { $0 < 64 ? $0 + 1 : 0 }
    var origins: [String: RenamedWeights.Origin] = [:]
    for module in modules {
      guard let (name, part) = target(of: module, upLevels: levels ?? 0) else { continue }
      origins[name] = RenamedWeights.Origin(prefix + module, part)
    }
    return RenamedWeights(source, origins, prefix: prefix)
  }

  /// The new name of a weight; nil when it is unknown.
  ///
  /// - Parameter upLevels: levels of the decoder, which diffusers counts from the other end
  static func target(of name: String, upLevels: Int) -> (name: String, part: RenamedWeights.Part)? {
    let words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard let side = words.first, words.count >= 2 else { return nil }
    if side == "quant_conv" || side == "post_quant_conv" { return (name, .whole) }
    guard side == "encoder" || side == "decoder" else { return nil }
    let rest = Array(words.dropFirst(2))
    switch words[1] {
    case "conv_in", "conv_out": return (name, .whole)
    case "norm_out": return (([side, "conv_norm_out"] + rest).joined(separator: "."), .whole)
    case "mid": return middle(side, rest)
    case "down" where side == "encoder":
      return level(rest, sampler: "downsample").map { ("encoder.down_blocks.\($0.index).\($0.rest)", .whole) }
    case "up" where side == "decoder":
      return level(rest, sampler: "upsample").map {
        ("decoder.up_blocks.\(upLevels - 1 - $0.index).\($0.rest)", .whole)
      }
    default: return nil
    }
  }

  /// `0.block.1.nin_shortcut.weight`, `0.downsample.conv.bias`.
  private static func level(_ words: [String], sampler: String) -> (index: Int, rest: String)? {
    guard words.count >= 4, let index = Int(words[0]), (0..<64).contains(index) else { return nil }
    if words[1] == sampler { return (index, (["\(sampler)rs", "0"] + words.dropFirst(2)).joined(separator: ".")) }
    guard words[1] == "block" else { return nil }
    return (index, (["resnets", words[2]] + shortcut(words.dropFirst(3))).joined(separator: "."))
  }

  private static let attention = ["norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"]

  private static func middle(_ side: String, _ words: [String]) -> (name: String, part: RenamedWeights.Part)? {
    guard words.count == 3 else { return nil }
    switch words[0] {
    case "block_1", "block_2":
      let index = words[0] == "block_1" ? 0 : 1
      return (([side, "mid_block.resnets.\(index)"] + shortcut(words.dropFirst())).joined(separator: "."), .whole)
    case "attn_1":
      guard let layer = attention[words[1]] else { return nil }
      let isKernel = words[1] != "norm" && words[2] == "weight"
      return ("\(side).mid_block.attentions.0.\(layer).\(words[2])", isKernel ? .matrix : .whole)
    default: return nil
    }
  }

  private static func shortcut(_ words: ArraySlice<String>) -> [String] {
    words.map { $0 == "nin_shortcut" ? "conv_shortcut" : $0 }
  }
}
