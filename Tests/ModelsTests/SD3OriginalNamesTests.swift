import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

@Suite struct SD3OriginalNamesTests {
  @Test(arguments: ["", "model.diffusion_model."])
  func everyWeightOfTheOriginalTransformerIsFoundUnderItsNewName(prefix: String) throws {
    let original = try TinySD3.originalTensors(TinySD3.folder)
    var file = Dictionary(uniqueKeysWithValues: original.map { (prefix + $0.key, $0.value) })
    if !prefix.isEmpty { file["first_stage_model.decoder.conv_in.bias"] = Tensor(zeros: [4]) }
    let renamed = try SD3OriginalNames.renamed(DictionaryWeights(file), path: "test")
    let expected = try TinyFlux.tensors(TinySD3.folder)
    #expect(renamed.names == expected.keys.sorted())
    for (name, tensor) in expected {
      #expect(renamed.shape(of: name) == tensor.shape)
      #expect(try renamed.parameter(name).tensor.isIdentical(to: tensor), "\(name)")
    }
  }

  @Test func originalTransformerGivesTheSameOutput() throws {
    try withFolder { folder in
      let path = "\(folder)/sd3.5_medium.safetensors"
      try SafetensorsFile.write(try TinySD3.originalTensors(TinySD3.folder), to: path)
      let renamed = try SD3OriginalNames.renamed(SafetensorsWeights(path: path), path: path)
      let described = try TinySD3.config(TinySD3.folder)
      let config = try SD3Config(inferredFrom: renamed, described: described, path: path)
      #expect(config == described)
      let model = try load(from: renamed) { SD3Transformer(config, $0) }
      let golden = TinySD3.golden
      expectClose(
        try TinySD3.sample(model), try #require(try golden.outputs()["sample"]), golden.tolerance, "sample")
    }
  }

  @Test(.exactProducts) func aQuantisedFileGivesWhatItsDequantisedWeightsGive() throws {
    var sketch = GGUFSketch()
    for (name, tensor) in try TinySD3.originalTensors(TinySD3.folder).sorted(by: { $0.key < $1.key }) {
      let type: UInt32 = tensor.rank == 2 && tensor.shape[1] % 32 == 0 ? 8 : tensor.rank == 2 ? 1 : 0
      sketch.add(name, tensor, type: type)
    }
    let renamed = try SD3OriginalNames.renamed(sketch.weights, path: "test")
    let config = try SD3Config(inferredFrom: renamed, path: "test")
    let model = try load(from: renamed) { SD3Transformer(config, $0) }
    let whole = DictionaryWeights(
      try Dictionary(uniqueKeysWithValues: renamed.names.map { ($0, try renamed.parameter($0).tensor) }))
    let plain = try load(from: whole) { SD3Transformer(config, $0) }
    #expect(try TinySD3.sample(model).isIdentical(to: TinySD3.sample(plain)))
    let truth = try #require(TinySD3.golden.outputs()["sample"])
    let error = (try TinySD3.sample(model) - truth).absolute().amax().item
    #expect(error > 0 && error < 0.05 * truth.absolute().amax().item, "quantised by 8 bits: \(error)")
  }

  /// Names of diffusers, of the authors and of kohya's scripts say the same.
  @Test func lowRankChangesAreFoundUnderEveryName() throws {
    var generator = Generator(seed: 3)
    let base = try SafetensorsWeights(folder: TinySD3.folder)
    let a = generator.randn([4, 32]), b = generator.randn([96, 4])
    let parts = b.chunked(3, axis: 0)
    let suffixes = ["to_q", "to_k", "to_v"].enumerated()
    let diffusers = suffixes.flatMap { index, name in
      [
        ("transformer.transformer_blocks.1.attn2.\(name).lora_A.weight", a),
        ("transformer.transformer_blocks.1.attn2.\(name).lora_B.weight", parts[index]),
      ]
    }
    let authors = [
      ("diffusion_model.joint_blocks.1.x_block.attn2.qkv.lora_A.weight", a),
      ("diffusion_model.joint_blocks.1.x_block.attn2.qkv.lora_B.weight", b),
    ]
    let kohya = [
      ("lora_unet_joint_blocks_1_x_block_attn2_qkv.lora_down.weight", a),
      ("lora_unet_joint_blocks_1_x_block_attn2_qkv.lora_up.weight", b),
    ]
    try withFolder { folder in
      let merged = try [diffusers, authors, kohya].enumerated().map { index, tensors in
        let path = "\(folder)/\(index).safetensors"
        try SafetensorsFile.write(Dictionary(uniqueKeysWithValues: tensors), to: path)
        return try LoRAWeights(base, [LoRAFile(path: path)], originals: SD3OriginalNames(dim: 32, layers: 3))
      }
      for name in base.names {
        let values = try merged.map { try $0.parameter(name).tensor }
        #expect(values[0].isIdentical(to: values[1]) && values[0].isIdentical(to: values[2]), "\(name)")
        let isChanged = ["to_q", "to_k", "to_v"].contains { name == "transformer_blocks.1.attn2.\($0).weight" }
        #expect(try values[0].isIdentical(to: base.parameter(name).tensor) != isChanged, "\(name)")
      }
    }
  }

  @Test func whatIsNoStableDiffusionIsSaidSo() throws {
    #expect(throws: ModelError.self) {
      try SD3OriginalNames.renamed(
        DictionaryWeights(["joint_blocks.0.x_block.mlp.fc1.bias": Tensor(zeros: [4])]), path: "test")
    }
    var file = try TinySD3.originalTensors(TinySD3.folder)
    file["pos_embed"] = Tensor(zeros: [1, 7, 32])
    let renamed = try SD3OriginalNames.renamed(DictionaryWeights(file), path: "test")
    #expect(throws: ModelError("test", .badConfig("'pos_embed' has 7 positions, expected the square of at most 512"))) {
      try SD3Config(inferredFrom: renamed, path: "test")
    }
  }

  @Test(arguments: [
    (#"{"num_attention_heads": 2, "attention_head_dim": 16, "caption_projection_dim": 48}"#, "caption_projection_dim"),
    (#"{"qk_norm": "layer_norm"}"#, "qk_norm"), (#"{"dual_attention_layers": [18]}"#, "dual_attention_layers"),
    (#"{"num_layers": -1}"#, "num_layers"), (#"{"pos_embed_max_size": 100000}"#, "pos_embed_max_size"),
    (#"{"patch_size": 256}"#, "patch_size"),
  ])
  func aBrokenConfigurationNamesItsKey(text: String, key: String) {
    let error = #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(SD3Config.self, from: Data(text.utf8))
    }
    #expect("\(error as Any)".contains(key))
  }
}
