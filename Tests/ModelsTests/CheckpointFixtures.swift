import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The tiny FLUX transformer of the golden cases, and its weights as other projects write them.
enum TinyFlux {
  static let golden = Golden.fixture("transformers/flux-dev-guidance")
  static let autoencoderCase = Golden.fixture("vaes/autoencoder-kl-flux")

  static let folder = golden.path("transformer")
  static func config() throws -> FluxConfig {
    try JSONDecoder().decode(FluxConfig.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
  }

  static func tensors(_ folder: String) throws -> [String: Tensor] {
    let source = try SafetensorsWeights(folder: folder)
    return try Dictionary(uniqueKeysWithValues: source.names.map { ($0, try source.parameter($0).tensor) })
  }

  /// The inverse of diffusers' conversion, written out by hand: what black-forest-labs' file would hold.
  static func originalTensors() throws -> [String: Tensor] {
    let source = try tensors(folder), config = try config()
    var result: [String: Tensor] = [:]
    func get(_ name: String) throws -> Tensor { try #require(source[name], "\(name)") }
    func put(_ original: String, _ names: String...) throws {
      for parameter in ["weight", "bias"] {
        result["\(original).\(parameter)"] = concatenated(try names.map { try get("\($0).\(parameter)") })
      }
    }
    try put("img_in", "x_embedder")
    try put("txt_in", "context_embedder")
    for (original, name) in [("time", "timestep"), ("vector", "text"), ("guidance", "guidance")] {
      try put("\(original)_in.in_layer", "time_text_embed.\(name)_embedder.linear_1")
      try put("\(original)_in.out_layer", "time_text_embed.\(name)_embedder.linear_2")
    }
    for i in 0..<config.numLayers {
      let a = "transformer_blocks.\(i)", b = "double_blocks.\(i)"
      try put("\(b).img_mod.lin", "\(a).norm1.linear")
      try put("\(b).txt_mod.lin", "\(a).norm1_context.linear")
      try put("\(b).img_attn.qkv", "\(a).attn.to_q", "\(a).attn.to_k", "\(a).attn.to_v")
      try put("\(b).txt_attn.qkv", "\(a).attn.add_q_proj", "\(a).attn.add_k_proj", "\(a).attn.add_v_proj")
      try put("\(b).img_attn.proj", "\(a).attn.to_out.0")
      try put("\(b).txt_attn.proj", "\(a).attn.to_add_out")
      for (side, layer) in [("img", "ff"), ("txt", "ff_context")] {
        try put("\(b).\(side)_mlp.0", "\(a).\(layer).net.0.proj")
        try put("\(b).\(side)_mlp.2", "\(a).\(layer).net.2")
      }
      result["\(b).img_attn.norm.query_norm.scale"] = try get("\(a).attn.norm_q.weight")
      result["\(b).img_attn.norm.key_norm.scale"] = try get("\(a).attn.norm_k.weight")
      result["\(b).txt_attn.norm.query_norm.scale"] = try get("\(a).attn.norm_added_q.weight")
      result["\(b).txt_attn.norm.key_norm.scale"] = try get("\(a).attn.norm_added_k.weight")
    }
    for i in 0..<config.numSingleLayers {
      let a = "single_transformer_blocks.\(i)", b = "single_blocks.\(i)"
      try put("\(b).modulation.lin", "\(a).norm.linear")
      try put("\(b).linear1", "\(a).attn.to_q", "\(a).attn.to_k", "\(a).attn.to_v", "\(a).proj_mlp")
      try put("\(b).linear2", "\(a).proj_out")
      result["\(b).norm.query_norm.scale"] = try get("\(a).attn.norm_q.weight")
      result["\(b).norm.key_norm.scale"] = try get("\(a).attn.norm_k.weight")
    }
    try put("final_layer.linear", "proj_out")
    for parameter in ["weight", "bias"] {
      let halves = try get("norm_out.linear.\(parameter)").chunked(2, axis: 0)
      result["final_layer.adaLN_modulation.1.\(parameter)"] = concatenated([halves[1], halves[0]])
    }
    return result
  }

  /// The autoencoder as `ae.safetensors` has it.
  static func originalAutoencoder(_ folder: String? = nil) throws -> [String: Tensor] {
    let source = try tensors(folder ?? autoencoderCase.path("vae"))
    var result: [String: Tensor] = [:]
    for (name, tensor) in source {
      var original = name.replacingOccurrences(of: "conv_shortcut", with: "nin_shortcut")
        .replacingOccurrences(of: "conv_norm_out", with: "norm_out")
        .replacingOccurrences(of: ".resnets.", with: ".block.")
        .replacingOccurrences(of: "mid_block.block.0", with: "mid.block_1")
        .replacingOccurrences(of: "mid_block.block.1", with: "mid.block_2")
        .replacingOccurrences(of: "down_blocks.", with: "down.")
        .replacingOccurrences(of: "downsamplers.0", with: "downsample")
        .replacingOccurrences(of: "upsamplers.0", with: "upsample")
      for level in 0..<4 {
        original = original.replacingOccurrences(of: "up_blocks.\(level).", with: "up.\(3 - level).")
      }
      let attention = "mid_block.attentions.0."
      let isKernel = original.contains(attention) && tensor.rank == 2
      for (new, old) in [
        ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
      ] {
        original = original.replacingOccurrences(of: attention + new, with: "mid.attn_1.\(old)")
      }
      result[original] = isKernel ? tensor.reshaped(tensor.shape + [1, 1]) : tensor
    }
    return result
  }

  /// The output of a transformer for the golden case's inputs.
  static func sample(_ model: FluxTransformer) throws -> Tensor {
    let inputs = try golden.inputs(), size = golden.config.grid_hw.ints
    return model(
      .init(
        image: try #require(inputs["hidden"]), text: try #require(inputs["encoder"]),
        pooled: try #require(inputs["pooled"]), timestep: try #require(inputs["timestep"]).floats.map { $0 * 1000 },
        guidance: inputs["guidance"]?.floats,
        positions: model.positions(grid: TokenGrid(height: size[0], width: size[1]))))
  }
}

/// Writes GGUF files of plain and block-quantised tensors.
struct GGUFSketch {
  private var directory: [UInt8] = []
  private var data: [UInt8] = []
  private var count = 0

  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// - Parameter type: 0 for F32, 1 for F16, else a `QuantizedMatrix.Format`, of whose blocks the last axis has whole ones
  mutating func add(_ name: String, _ tensor: Tensor, type: UInt32) {
    directory += Self.little(UInt64(name.utf8.count)) + Array(name.utf8) + Self.little(UInt32(tensor.rank))
    directory += tensor.shape.reversed().flatMap { Self.little(UInt64($0)) }
    directory += Self.little(type) + Self.little(UInt64(data.count))
    switch type {
    case 0: data += tensor.converted(to: .f32).bytes
    case 1: data += tensor.converted(to: .f16).bytes
    default: data += BlockQuantizer(format: .init(rawValue: type) ?? .q8_0).bytes(tensor.floats)
    }
    data += [UInt8](repeating: 0, count: (32 - data.count % 32) % 32)
    count += 1
  }

  var bytes: [UInt8] {
    var header = Array("GGUF".utf8) + Self.little(3 as UInt32) + Self.little(UInt64(count)) + Self.little(0 as UInt64)
    header += directory
    return header + [UInt8](repeating: 0, count: (32 - header.count % 32) % 32) + data
  }

  var weights: GGUFWeights {
    get throws { GGUFWeights(try GGUFFile(MappedFile(contents: bytes, name: "sketch.gguf"))) }
  }
}
