import NN

/// The names that llama.cpp gives the layers of T5's encoder (`t5-v1_1-xxl-encoder-Q8_0.gguf`), and what they are called in
/// transformers.
///
/// Source: llama.cpp `gguf-py/gguf/tensor_mapping.py`.
struct T5GGUFNames: OriginalNames {
  /// The encoder's weights under transformers' names. A source with other names is returned as it is.
  static func renamed(_ source: any WeightSource) -> any WeightSource {
    let names = source.names
    guard names.contains(where: { $0.hasPrefix("enc.blk.") }) else { return source }
    return RenamedWeights(source, T5GGUFNames().origins(of: names, prefix: ""))
  }

  func targets(of module: String) -> [RenamedWeights.Target] {
    if let target = Self.top[module] { return [.init(module: target, part: .whole)] }
    let words = module.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard words.count == 4, words[0] == "enc", words[1] == "blk", let index = Int(words[2]), String(index) == words[2],
      let name = Self.block[words[3]]
    else { return [] }
    return [.init(module: "encoder.block.\(index).layer.\(name)", part: .whole)]
  }

  func modules(of names: [String]) -> [String] {
    Self.top.keys.sorted()
      + (0..<blockCount("encoder.block.", in: names)).flatMap { index in
        Self.block.keys.sorted().map { "enc.blk.\(index).\($0)" }
      }
  }

  private static let top = ["token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"]

  private static let block = [
    "attn_norm": "0.layer_norm",
    "attn_q": "0.SelfAttention.q",
    "attn_k": "0.SelfAttention.k",
    "attn_v": "0.SelfAttention.v",
    "attn_o": "0.SelfAttention.o",
    "attn_rel_b": "0.SelfAttention.relative_attention_bias",
    "ffn_norm": "1.layer_norm",
    "ffn_gate": "1.DenseReluDense.wi_0",
    "ffn_up": "1.DenseReluDense.wi_1",
    "ffn_down": "1.DenseReluDense.wo",
  ]
}
