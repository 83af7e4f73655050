import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The tiny Stable Diffusion 3.5 transformer of the golden cases, with dual attention, and its weights as Stability AI
/// writes them.
enum TinySD3 {
  static let golden = Golden.fixture("transformers/sd35-medium-dual")
  static func pipelineFolder() throws -> String {
    let golden = Golden.fixture("pipelines/sd35/run-cfg")
    return golden.path(try #require(golden.config.pipeline.string))
  }

  static let folder = golden.path("transformer")
  static func config(_ folder: String) throws -> SD3Config {
    try JSONDecoder().decode(SD3Config.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  }

  /// The inverse of diffusers' conversion, written out by hand: what Stability AI's file would hold.
  static func originalTensors(_ folder: String) throws -> [String: Tensor] {
    let source = try TinyFlux.tensors(folder), config = try config(folder)
    var result: [String: Tensor] = [:]
    func get(_ name: String) throws -> Tensor { try #require(source[name], "\(name)") }
    func put(_ original: String, _ names: String..., exchanged: Bool = false) throws {
      for parameter in ["weight", "bias"] {
        let whole = concatenated(try names.map { try get("\($0).\(parameter)") })
        let halves = whole.chunked(2, axis: 0)
        result["\(original).\(parameter)"] = exchanged ? concatenated([halves[1], halves[0]]) : whole
      }
    }
    result["pos_embed"] = try get("pos_embed.pos_embed")
    try put("x_embedder.proj", "pos_embed.proj")
    try put("context_embedder", "context_embedder")
    for (original, name) in [("t", "timestep"), ("y", "text")] {
      try put("\(original)_embedder.mlp.0", "time_text_embed.\(name)_embedder.linear_1")
      try put("\(original)_embedder.mlp.2", "time_text_embed.\(name)_embedder.linear_2")
    }
    for i in 0..<config.numLayers {
      let a = "transformer_blocks.\(i)", x = "joint_blocks.\(i).x_block", c = "joint_blocks.\(i).context_block"
      let isLast = i == config.numLayers - 1
      try put("\(x).adaLN_modulation.1", "\(a).norm1.linear")
      try put("\(c).adaLN_modulation.1", "\(a).norm1_context.linear", exchanged: isLast)
      try put("\(x).attn.qkv", "\(a).attn.to_q", "\(a).attn.to_k", "\(a).attn.to_v")
      try put("\(c).attn.qkv", "\(a).attn.add_q_proj", "\(a).attn.add_k_proj", "\(a).attn.add_v_proj")
      try put("\(x).attn.proj", "\(a).attn.to_out.0")
      try put("\(x).mlp.fc1", "\(a).ff.net.0.proj")
      try put("\(x).mlp.fc2", "\(a).ff.net.2")
      if !isLast {
        try put("\(c).attn.proj", "\(a).attn.to_add_out")
        try put("\(c).mlp.fc1", "\(a).ff_context.net.0.proj")
        try put("\(c).mlp.fc2", "\(a).ff_context.net.2")
      }
      var norms = [
        ("\(x).attn", "attn.norm_q", "attn.norm_k"), ("\(c).attn", "attn.norm_added_q", "attn.norm_added_k"),
      ]
      if config.dualAttentionLayers.contains(i) {
        try put("\(x).attn2.qkv", "\(a).attn2.to_q", "\(a).attn2.to_k", "\(a).attn2.to_v")
        try put("\(x).attn2.proj", "\(a).attn2.to_out.0")
        norms.append(("\(x).attn2", "attn2.norm_q", "attn2.norm_k"))
      }
      for (original, query, key) in norms {
        result["\(original).ln_q.weight"] = try get("\(a).\(query).weight")
        result["\(original).ln_k.weight"] = try get("\(a).\(key).weight")
      }
    }
    try put("final_layer.linear", "proj_out")
    try put("final_layer.adaLN_modulation.1", "norm_out.linear", exchanged: true)
    return result
  }

  /// The output of a transformer for the golden case's inputs.
  static func sample(_ model: SD3Transformer) throws -> Tensor {
    let inputs = try golden.inputs()
    return model(
      .init(
        latents: try #require(inputs["hidden"]), text: try #require(inputs["encoder"]),
        pooled: try #require(inputs["pooled"]), timestep: try #require(inputs["timestep"]).floats))
  }
}
