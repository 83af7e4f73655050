import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Low-rank changes of the tiny FLUX transformer, against sums written out in `Double`.
@Suite struct LoRATests {
  private static func pair(_ outputs: Int, _ inputs: Int, rank: Int, seed: UInt64) -> (up: Tensor, down: Tensor) {
    var generator = Generator(seed: seed)
    return (generator.randn([outputs, rank]), generator.randn([rank, inputs]))
  }

  /// `W + scale * up · down`, entry by entry.
  private static func naive(_ weight: Tensor, _ up: Tensor, _ down: Tensor, scale: Double) -> [Double] {
    let w = weight.floats, b = up.floats, a = down.floats
    let rank = down.shape[0], inputs = down.shape[1]
    return w.indices.map { index in
      let row = index / inputs, column = index % inputs
      return Double(w[index]) + scale
        * (0..<rank).reduce(0.0) {
          $0 + Double(b[row * rank + $1]) * Double(a[$1 * inputs + column])
        }
    }
  }

  private static func merged(
    _ tensors: [String: Tensor], strength: Float = 1, metadata: [String: String] = [:],
    base: (any WeightSource)? = nil
  ) throws -> LoRAWeights {
    try withFolder { folder in
      let path = "\(folder)/lora.safetensors"
      try SafetensorsFile.write(tensors, to: path, metadata: metadata)
      return try LoRAWeights(
        base ?? SafetensorsWeights(folder: TinyFlux.folder), [LoRAFile(path: path, strength: strength)],
        originals: FluxOriginalNames(dim: 48))
    }
  }

  private static let layer = "transformer_blocks.0.attn.to_q"
  private static let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-6)

  private static func base(_ name: String) throws -> Tensor {
    try SafetensorsWeights(folder: TinyFlux.folder).parameter("\(name).weight").tensor
  }

  @Test(arguments: ["transformer.\(layer).lora_A", "\(layer).lora_A", "base_model.model.\(layer).lora_A"])
  func diffusersNamesAreAddedWithTheStrength(down: String) throws {
    let (b, a) = Self.pair(48, 48, rank: 4, seed: 1)
    let up = down.replacingOccurrences(of: "lora_A", with: "lora_B")
    let weights = try Self.merged(["\(down).weight": a, "\(up).weight": b], strength: 0.5)
    let weight = try weights.parameter("\(Self.layer).weight").tensor
    expectClose(
      weight.floats.map(Double.init), Self.naive(try Self.base(Self.layer), b, a, scale: 0.5), Self.close)
    let other = "transformer_blocks.0.attn.to_k"
    #expect(try weights.parameter("\(other).weight").tensor.isIdentical(to: Self.base(other)))
  }

  @Test func alphaComesFromAKeyOrFromTheMetadataOrIsTheRank() throws {
    let (b, a) = Self.pair(48, 48, rank: 4, seed: 2), name = "transformer.\(Self.layer)"
    let tensors = ["\(name).lora_A.weight": a, "\(name).lora_B.weight": b]
    let metadata = ["lora_adapter_metadata": #"{"transformer.r": 4, "transformer.lora_alpha": 12}"#]
    let special = [
      "lora_adapter_metadata": #"{"transformer.lora_alpha": 12, "transformer.alpha_pattern": {"attn.to_q": 6}}"#
    ]
    var withKey = tensors
    withKey["\(name).alpha"] = Tensor(2)
    for (weights, scale) in [
      (try Self.merged(withKey), 0.5), (try Self.merged(withKey, metadata: metadata), 0.5),
      (try Self.merged(tensors, metadata: metadata), 3), (try Self.merged(tensors, metadata: special), 1.5),
    ] {
      expectClose(
        try weights.parameter("\(Self.layer).weight").tensor.floats.map(Double.init),
        Self.naive(try Self.base(Self.layer), b, a, scale: scale), Tolerance(absolute: 1e-4, relativeToMax: 1e-6),
        "scale \(scale)")
    }
  }

  @Test func kohyasFusedLayersAreCutLikeTheWeights() throws {
    let (b, a) = Self.pair(3 * 48, 48, rank: 2, seed: 3), (d, c) = Self.pair(7 * 48, 48, rank: 2, seed: 4)
    let double = "lora_unet_double_blocks_1_txt_attn_qkv", single = "lora_unet_single_blocks_0_linear1"
    let weights = try Self.merged([
      "\(double).lora_down.weight": a, "\(double).lora_up.weight": b, "\(double).alpha": Tensor(1),
      "\(single).lora_down.weight": c, "\(single).lora_up.weight": d, "\(single).alpha": Tensor(2),
    ])
    let targets: [(String, Tensor, Tensor, Range<Int>, Double)] = [
      ("transformer_blocks.1.attn.add_q_proj", b, a, 0..<48, 0.5),
      ("transformer_blocks.1.attn.add_k_proj", b, a, 48..<96, 0.5),
      ("transformer_blocks.1.attn.add_v_proj", b, a, 96..<144, 0.5),
      ("single_transformer_blocks.0.attn.to_v", d, c, 96..<144, 1),
      ("single_transformer_blocks.0.proj_mlp", d, c, 144..<336, 1),
    ]
    for (name, up, down, rows, scale) in targets {
      let part = up.narrow(0, from: rows.lowerBound, count: rows.count)
      expectClose(
        try weights.parameter("\(name).weight").tensor.floats.map(Double.init),
        Self.naive(try Self.base(name), part, down, scale: scale), Self.close, name)
    }
  }

  @Test func shiftAndScaleOfTheLastNormAreExchanged() throws {
    let (b, a) = Self.pair(96, 48, rank: 2, seed: 5), name = "lora_unet_final_layer_adaLN_modulation_1"
    let weights = try Self.merged(["\(name).lora_down.weight": a, "\(name).lora_up.weight": b])
    let halves = b.chunked(2, axis: 0)
    expectClose(
      try weights.parameter("norm_out.linear.weight").tensor.floats.map(Double.init),
      Self.naive(try Self.base("norm_out.linear"), concatenated([halves[1], halves[0]]), a, scale: 1), Self.close)
  }

  @Test func narrowWeightsAreRoundedOnceAndQuantisedOnesBecomeBFloat16() throws {
    let (b, a) = Self.pair(48, 32, rank: 4, seed: 6), name = "context_embedder"
    let weight = try Self.base(name)
    var sketch = GGUFSketch()
    sketch.add("\(name).weight", weight, type: 8)
    let lora = ["\(name).lora_A.weight": a, "\(name).lora_B.weight": b]
    let narrow = DictionaryWeights(["\(name).weight": weight.converted(to: .bf16)])
    for base: any WeightSource in [narrow, try sketch.weights] {
      let whole = try base.parameter("\(name).weight").tensor.converted(to: .f32)
      let result = try Self.merged(lora, base: base).parameter("\(name).weight").tensor
      #expect(result.dtype == .bf16)
      expectClose(
        result.floats.map(Double.init), Self.naive(whole, b, a, scale: 1),
        Tolerance(absolute: 0, relativeToMax: 1.0 / 256))
    }
  }

  @Test func strengthZeroLeavesEveryWeightWhereItIs() throws {
    let (b, a) = Self.pair(48, 48, rank: 4, seed: 7)
    let weights = try Self.merged(["\(Self.layer).lora_A.weight": a, "\(Self.layer).lora_B.weight": b], strength: 0)
    for name in weights.names {
      let tensor = try weights.parameter(name).tensor
      let untouched = try weights.base.parameter(name).tensor
      #expect(tensor.isMapped && tensor.isIdentical(to: untouched), "\(name)")
    }
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let (b, a) = Self.pair(48, 48, rank: 4, seed: 8)
    func problem(_ tensors: [String: Tensor], strength: Float = 1) throws -> LoRAError.Problem? {
      #expect(throws: LoRAError.self) { try Self.merged(tensors, strength: strength) }?.problem
    }
    let block = "lora_unet_double_blocks_7_img_attn_proj", text = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    #expect(
      try problem([
        "\(block).lora_down.weight": a, "\(block).lora_up.weight": b, "\(text).lora_down.weight": a,
        "\(text).lora_up.weight": b, "x_embedder.lora_A.weight": a, "x_embedder.lora_B.weight": b,
      ]) == .unknown([text, block]))
    #expect(try problem(["x.dora_scale": a]) == .unknown(["x.dora_scale"]))
    #expect(try problem([:]) == .empty)
    #expect(try problem(["x.lora_A.weight": a]) == .incomplete(module: "x", missing: "lora_B"))
    let fitting = ["\(Self.layer).lora_A.weight": a, "\(Self.layer).lora_B.weight": b]
    #expect(
      try problem(fitting.merging(["\(Self.layer).alpha": Tensor(.infinity)]) { $1 })
        == .badAlpha(module: Self.layer, found: "inf"))
    #expect(try problem(fitting, strength: .infinity) == .badStrength(.infinity))
    #expect(
      try problem(fitting.merging(["\(Self.layer).lora_B.weight": Tensor(zeros: [48, 5])]) { $1 })
        == .shape(tensor: "\(Self.layer).lora_B.weight", found: [48, 5], expected: "[outputs, 4]"))
    let qkv = "lora_unet_double_blocks_0_img_attn_qkv"
    guard case .shape = try problem(["\(qkv).lora_down.weight": a, "\(qkv).lora_up.weight": b]) else {
      Issue.record("a fused layer with the rows of one was taken")
      return
    }
  }
}

/// A pipeline whose parts come from a folder, single files and a LoRA.
@Suite struct FluxCheckpointTests {
  @Test func singleFilesReplaceTheFoldersParts() throws {
    try withFolder { folder in
      let paths = ["transformer.safetensors", "ae.safetensors", "lora.safetensors"].map { "\(folder)/\($0)" }
      try SafetensorsFile.write(try TinyFlux.originalTensors(), to: paths[0])
      try SafetensorsFile.write(try TinyFlux.originalAutoencoder(), to: paths[1])
      try SafetensorsFile.write(
        ["proj_out.lora_A.weight": Tensor(ones: [1, 48]), "proj_out.lora_B.weight": Tensor(ones: [16, 1])],
        to: paths[2])
      try FileManager.default.createDirectory(atPath: "\(folder)/transformer", withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: "\(TinyFlux.folder)/config.json", toPath: "\(folder)/transformer/config.json")
      try Data(#"{"_class_name": "FluxPipeline"}"#.utf8).write(to: URL(fileURLWithPath: "\(folder)/model_index.json"))
      let checkpoint = FluxCheckpoint(
        folder: try ModelFolder(folder),
        CheckpointOptions(
          files: ["transformer": paths[0], "vae": paths[1]], loras: [LoRAFile(path: paths[2], strength: 2)]))
      let (config, weights) = try checkpoint.transformer()
      #expect(try config == TinyFlux.config())
      let plain = try TinyFlux.tensors(TinyFlux.folder)
      let projection = try #require(plain["proj_out.weight"])
      #expect(try weights.parameter("proj_out.weight").tensor.isIdentical(to: projection + 2))
      _ = try load(from: weights) { FluxTransformer(config, $0) }
      let expected = try TinyFlux.tensors(TinyFlux.autoencoderCase.path("vae"))
      #expect(try checkpoint.autoencoder().weights.names == expected.keys.sorted())
    }
  }
}
