import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Parts of a CogVideoX folder replaced by files in the names of its authors, GGUF files, shards and LoRA files.
@Suite struct CogVideoXCheckpointTests {
  /// With learned positions; with temporal patches and an "ofs" embedding.
  static let folders = ["cogvideox-5b-i2v/run-sample-size", "cogvideox-1.5-i2v/run-padded"]

  private static func folder(_ name: String) throws -> String {
    let golden = Golden.fixture("pipelines/\(name)")
    return golden.path(try #require(golden.config.pipeline.string))
  }

  /// The inverse of diffusers' conversion, written out by hand: what a `sat` checkpoint holds.
  private static func originalTensors(_ folder: String) throws -> [String: Tensor] {
    let source = try TinyFlux.tensors("\(folder)/transformer")
    var result: [String: Tensor] = [:]
    func put(_ original: String, _ names: String...) throws {
      for parameter in ["weight", "bias"] where source["\(names[0]).\(parameter)"] != nil {
        result["\(original).\(parameter)"] = concatenated(
          try names.map { try #require(source["\($0).\(parameter)"], "\($0)") })
      }
    }
    for (original, name) in [("time", "time"), ("ofs", "ofs")] {
      try put("\(original)_embed.0", "\(name)_embedding.linear_1")
      try put("\(original)_embed.2", "\(name)_embedding.linear_2")
    }
    try put("mixins.patch_embed.proj", "patch_embed.proj")
    try put("mixins.patch_embed.text_proj", "patch_embed.text_proj")
    try put("transformer.final_layernorm", "norm_final")
    try put("mixins.final_layer.norm_final", "norm_out.norm")
    try put("mixins.final_layer.linear", "proj_out")
    try put("mixins.final_layer.adaLN_modulation.1", "norm_out.linear")
    result["mixins.pos_embed.pos_embedding"] = source["patch_embed.pos_embedding"]
    result["mixins.pos_embed.freqs_sin"] = Tensor(zeros: [4])
    let layers = source.keys.filter { $0.hasSuffix(".attn1.norm_q.weight") }.count
    for layer in 0..<layers {
      let block = "transformer_blocks.\(layer)", original = "transformer.layers.\(layer)"
      try put("\(original).input_layernorm", "\(block).norm1.norm")
      try put("\(original).post_attention_layernorm", "\(block).norm2.norm")
      let attention = "\(block).attn1"
      try put("\(original).attention.query_key_value", "\(attention).to_q", "\(attention).to_k", "\(attention).to_v")
      try put("\(original).attention.dense", "\(block).attn1.to_out.0")
      try put("\(original).mlp.dense_h_to_4h", "\(block).ff.net.0.proj")
      try put("\(original).mlp.dense_4h_to_h", "\(block).ff.net.2")
      try put("mixins.adaln_layer.query_layernorm_list.\(layer)", "\(block).attn1.norm_q")
      try put("mixins.adaln_layer.key_layernorm_list.\(layer)", "\(block).attn1.norm_k")
      for parameter in ["weight", "bias"] {
        // Video, then text; in each what is before the attention, then what is before the MLP.
        let halves = try ["norm1", "norm2"].map {
          try #require(source["\(block).\($0).linear.\(parameter)"]).chunked(2, axis: 0)
        }
        result["mixins.adaln_layer.adaLN_modulations.\(layer).1.\(parameter)"] = concatenated([
          halves[0][0], halves[1][0], halves[0][1], halves[1][1],
        ])
      }
    }
    return result
  }

  private static func frames(_ folder: String, _ options: CheckpointOptions = .init()) throws -> Tensor {
    let pipeline = try ModelFamily.cogVideoX.open(ModelFolder(folder), options)
    var request = GenerationRequest("a boat")
    (request.steps, request.frames) = (1, 5)
    if case .firstFrame = pipeline.settings.imageUse {
      request.startingImage = StartingImage(Tensor(ones: [32, 48, 3], dtype: .u8))
    }
    return try pipeline.generate(request).frames
  }

  @Test(arguments: folders, ["", "model.diffusion_model."])
  func theAuthorsNamesGiveTheSameVideo(name: String, prefix: String) throws {
    let folder = try Self.folder(name)
    try withFolder { scratch in
      let path = "\(scratch)/transformer.safetensors"
      let tensors = try Self.originalTensors(folder).map { (prefix + $0.key, $0.value.contiguous()) }
      try SafetensorsFile.write(Dictionary(uniqueKeysWithValues: tensors), to: path)
      let frames = try Self.frames(folder, .init(files: ["transformer": path]))
      #expect(try frames.isIdentical(to: Self.frames(folder)))
    }
  }

  @Test(arguments: [true, false]) func aQuantisedFileGivesWhatItsDequantisedWeightsGive(isOriginal: Bool) throws {
    let folder = try Self.folder(Self.folders[1])
    let tensors = try isOriginal ? Self.originalTensors(folder) : TinyFlux.tensors("\(folder)/transformer")
    var sketch = GGUFSketch()
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      sketch.add(name, tensor, type: tensor.rank == 2 ? (tensor.shape[1] % 32 == 0 ? 8 : 1) : 0)
    }
    try withFolder { scratch in
      let path = "\(scratch)/transformer.gguf", plain = "\(scratch)/plain.safetensors"
      try Data(sketch.bytes).write(to: URL(fileURLWithPath: path))
      let weights = try sketch.weights
      try SafetensorsFile.write(
        Dictionary(uniqueKeysWithValues: weights.names.map { ($0, try weights.parameter($0).tensor.contiguous()) }),
        to: plain)
      let (quantised, expected) = try ComputePrecision.with(.float) {
        (
          try Self.frames(folder, .init(files: ["transformer": path])),
          try Self.frames(folder, .init(files: ["transformer": plain]))
        )
      }
      #expect(quantised.isIdentical(to: expected))
      #expect(try !quantised.isIdentical(to: Self.frames(folder)))
    }
  }

  @Test func theAuthorsNamesOfTheAutoencoderGiveTheSameVideo() throws {
    let folder = try Self.folder(Self.folders[0])
    var tensors: [String: Tensor] = ["loss.logvar": Tensor(zeros: [1])]
    for (name, tensor) in try TinyFlux.tensors("\(folder)/vae") {
      var name = name
      for (new, old) in [
        ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"), ("resnets.", "block."),
        ("down_blocks.", "down."), ("downsamplers.0", "downsample"), ("upsamplers.0", "upsample"),
        ("conv_shortcut", "nin_shortcut"),
      ] { name = name.replacingOccurrences(of: new, with: old) }
      for level in 0..<4 where name.contains("up_blocks.\(level).") {
        name = name.replacingOccurrences(of: "up_blocks.\(level).", with: "up.\(3 - level).")
        break
      }
      tensors[name] = tensor
    }
    #expect(tensors.keys.contains("decoder.up.0.block.0.norm1.norm_layer.weight"))
    try withFolder { scratch in
      let path = "\(scratch)/3d-vae.safetensors"
      try SafetensorsFile.write(tensors, to: path)
      #expect(try Self.frames(folder, .init(files: ["vae": path])).isIdentical(to: Self.frames(folder)))
    }
  }

  /// Names of diffusers, of kohya's scripts and of `sat`, whose alpha is 1 unless a file tells.
  @Test func lowRankChangesAreFoundUnderEveryName() throws {
    let folder = try Self.folder(Self.folders[0]), base = try SafetensorsWeights(folder: "\(folder)/transformer")
    var generator = Generator(seed: 4)
    let names = ["to_q", "to_k", "to_v"], a = names.map { _ in generator.randn([4, 32]) }
    let b = names.map { _ in generator.randn([32, 4]) }
    var diffusers: [String: Tensor] = [:], kohya = diffusers, authors = diffusers
    for (index, name) in names.enumerated() {
      let module = "transformer_blocks.1.attn1.\(name)"
      diffusers["transformer.\(module).lora_A.weight"] = a[index]
      diffusers["transformer.\(module).lora_B.weight"] = b[index]
      let flat = "lora_unet_" + module.replacingOccurrences(of: ".", with: "_")
      kohya["\(flat).lora_down.weight"] = a[index]
      kohya["\(flat).lora_up.weight"] = b[index]
      let fused = "model.diffusion_model.transformer.layers.1.attention.query_key_value"
      authors["\(fused).matrix_A.\(index)"] = a[index]
      authors["\(fused).matrix_B.\(index)"] = b[index]
    }
    try withFolder { scratch in
      func merged(_ tensors: [String: Tensor], strength: Float) throws -> LoRAWeights {
        let path = "\(scratch)/lora.safetensors"
        try SafetensorsFile.write(tensors, to: path)
        return try LoRAWeights(
          base, [LoRAFile(path: path, strength: strength)], originals: CogVideoXOriginalNames(dim: 32))
      }
      let all = [
        try merged(diffusers, strength: 0.25), try merged(kohya, strength: 0.25), try merged(authors, strength: 1),
      ]
      for name in base.names {
        let values = try all.map { try $0.parameter(name).tensor }
        #expect(values[0].isIdentical(to: values[1]) && values[0].isIdentical(to: values[2]), "\(name)")
        let isChanged = names.contains { name == "transformer_blocks.1.attn1.\($0).weight" }
        #expect(try values[0].isIdentical(to: base.parameter(name).tensor) != isChanged, "\(name)")
      }
      var stray = authors
      stray["transformer.layers.1.attention.dense.matrix_A.1"] = a[0]
      stray["transformer.layers.1.attention.dense.matrix_B.1"] = b[0]
      #expect(throws: LoRAError.self) { try merged(stray, strength: 1) }
    }
  }

  @Test func shardsGiveTheSameVideo() throws {
    let folder = try Self.folder(Self.folders[0])
    try withCopy(of: folder, without: ["transformer"]) { copy in
      let transformer = "\(copy)/transformer", tensors = try TinyFlux.tensors("\(folder)/transformer")
      try? FileManager.default.removeItem(atPath: transformer)
      try FileManager.default.createDirectory(atPath: transformer, withIntermediateDirectories: true)
      let config = "transformer/config.json"
      try FileManager.default.copyItem(atPath: "\(folder)/\(config)", toPath: "\(copy)/\(config)")
      var places: [String: String] = [:]
      for index in 0..<2 {
        let names = tensors.keys.filter { $0.contains("blocks.0") == (index == 0) }
        let file = "diffusion_pytorch_model-0000\(index + 1)-of-00002.safetensors"
        try SafetensorsFile.write(tensors.filter { names.contains($0.key) }, to: "\(transformer)/\(file)")
        for name in names { places[name] = file }
      }
      try JSONSerialization.data(withJSONObject: ["metadata": [String: String](), "weight_map": places])
        .write(to: URL(fileURLWithPath: "\(transformer)/diffusion_pytorch_model.safetensors.index.json"))
      let index = URL(fileURLWithPath: "\(copy)/model_index.json")
      try? FileManager.default.removeItem(at: index)
      try FileManager.default.copyItem(atPath: "\(folder)/model_index.json", toPath: index.path)
      #expect(try Self.frames(copy).isIdentical(to: Self.frames(folder)))
    }
  }

  @Test func whatIsNoCogVideoXIsSaidSo() {
    #expect(throws: ModelError.self) {
      try CogVideoXOriginalNames.renamed(
        DictionaryWeights(["transformer.layers.0.mlp.dense_h_to_4h.bias": Tensor(zeros: [4])]), path: "test")
    }
  }

  /// The time of a small model, whatever it is.
  @Test func timeIsEstimatedForEveryPass() throws {
    let pipeline = try openPipeline(Self.folder(Self.folders[0]))
    var request = GenerationRequest("a boat")
    request.startingImage = StartingImage(Tensor(ones: [8, 8, 3], dtype: .u8))
    request.steps = 7
    let estimate = try pipeline.timeEstimate(pipeline.plan(request))
    #expect(estimate.steps == 7 && estimate.passes == 2)
    #expect(estimate.transformer > 0 && estimate.decoding > 0 && estimate.total < 600)
  }
}
