import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

@Suite struct OriginalNamesTests {
  @Test(arguments: ["", "model.diffusion_model."])
  func everyWeightOfTheOriginalTransformerIsFoundUnderItsNewName(prefix: String) throws {
    let original = try TinyFlux.originalTensors()
    var file = Dictionary(uniqueKeysWithValues: original.map { (prefix + $0.key, $0.value) })
    if !prefix.isEmpty { file["vae.decoder.conv_in.bias"] = Tensor(zeros: [4]) }
    let renamed = try FluxOriginalNames.renamed(DictionaryWeights(file), path: "test")
    let expected = try TinyFlux.tensors(TinyFlux.folder)
    #expect(renamed.names == expected.keys.sorted())
    for (name, tensor) in expected {
      #expect(renamed.shape(of: name) == tensor.shape)
      #expect(try renamed.parameter(name).tensor.isIdentical(to: tensor), "\(name)")
    }
  }

  @Test func originalTransformerGivesTheSameOutput() throws {
    try withFolder { folder in
      let path = "\(folder)/flux1-dev.safetensors"
      try SafetensorsFile.write(try TinyFlux.originalTensors(), to: path)
      let renamed = try FluxOriginalNames.renamed(SafetensorsWeights(path: path), path: path)
      let config = try FluxConfig(inferredFrom: renamed, axes: [4, 6, 6], path: path)
      #expect(try config == TinyFlux.config())
      let model = try load(from: renamed) { FluxTransformer(config, $0) }
      let golden = TinyFlux.golden
      expectClose(
        try TinyFlux.sample(model), try #require(try golden.outputs()["sample"]), golden.tolerance, "sample")
    }
  }

  @Test func whatNobodyMapsIsReportedUnderItsOwnName() throws {
    var file = try TinyFlux.originalTensors()
    file["double_blocks.0.img_attn.qkv.scale_weight"] = Tensor(1)
    file["double_blocks.00.img_attn.proj.weight"] = Tensor(1)
    let renamed = try FluxOriginalNames.renamed(DictionaryWeights(file), path: "test")
    let config = try TinyFlux.config()
    let report = #expect(throws: WeightReport.self) { try load(from: renamed) { FluxTransformer(config, $0) } }
    #expect(
      report?.problems == [
        .unused(["double_blocks.0.img_attn.qkv.scale_weight", "double_blocks.00.img_attn.proj.weight"])
      ])
  }

  @Test func aFusedMatrixOfTheWrongHeightIsNotCut() throws {
    var file = try TinyFlux.originalTensors()
    file["double_blocks.1.txt_attn.qkv.weight"] = Tensor(zeros: [4 * 48, 48])
    file["single_blocks.0.linear1.bias"] = Tensor(zeros: [48])
    let renamed = try FluxOriginalNames.renamed(DictionaryWeights(file), path: "test")
    let config = try TinyFlux.config()
    let report = try #require(
      #expect(throws: WeightReport.self) { try load(from: renamed) { FluxTransformer(config, $0) } })
    #expect(
      report.problems.contains(
        .shape("transformer_blocks.1.attn.add_q_proj.weight", expected: [48, 48], found: [192, 48], file: nil)))
    #expect("\(report)".contains("single_transformer_blocks.0.attn.to_q.bias"))
  }

  @Test func aConfigurationThatShapesCannotTellIsAnError() throws {
    let renamed = try FluxOriginalNames.renamed(DictionaryWeights(TinyFlux.originalTensors()), path: "test")
    #expect(
      throws: ModelError(
        "test",
        .badConfig(
          "heads of 16, expected 128: the rotary axes of others must be given by a config.json"))
    ) { try FluxConfig(inferredFrom: renamed, path: "test") }
    #expect(throws: ModelError.self) {
      try FluxOriginalNames.renamed(DictionaryWeights(["double_blocks.0.img_mod.lin.bias": Tensor(1)]), path: "test")
    }
  }

  @Test(arguments: ["", "first_stage_model."])
  func originalAutoencoderGivesTheSamePicture(prefix: String) throws {
    let original = try TinyFlux.originalAutoencoder(), golden = TinyFlux.autoencoderCase
    let renamed = AutoencoderOriginalNames.renamed(
      DictionaryWeights(Dictionary(uniqueKeysWithValues: original.map { (prefix + $0.key, $0.value) })))
    let expected = try TinyFlux.tensors(golden.path("vae"))
    #expect(renamed.names == expected.keys.sorted())
    for (name, tensor) in expected {
      #expect(try renamed.parameter(name).tensor.isIdentical(to: tensor), "\(name)")
    }
    let config = try JSONDecoder().decode(
      AutoencoderKLConfig.self, from: Data(contentsOf: URL(fileURLWithPath: golden.path("vae/config.json"))))
    let vae = try load(from: renamed) { AutoencoderKL(config, $0) }
    expectClose(
      vae.decode(try #require(try golden.inputs()["latent"])), try #require(try golden.outputs()["decoded"]),
      golden.tolerance, "decoded")
  }
}

@Suite struct GGUFWeightsTests {
  /// Matrices whose rows are whole blocks become `Q8_0`, the others `F16` or `F32`.
  @Test func aQuantisedFileGivesWhatItsDequantisedWeightsGive() throws {
    var sketch = GGUFSketch()
    for (name, tensor) in try TinyFlux.originalTensors().sorted(by: { $0.key < $1.key }) {
      let type: UInt32 = tensor.rank == 2 && tensor.shape[1] % 32 == 0 ? 8 : tensor.rank == 2 ? 1 : 0
      sketch.add(name, tensor, type: type)
    }
    let renamed = try FluxOriginalNames.renamed(sketch.weights, path: "test")
    let config = try FluxConfig(inferredFrom: renamed, axes: [4, 6, 6], path: "test")
    let model = try load(from: renamed) { FluxTransformer(config, $0) }
    let whole = DictionaryWeights(
      try Dictionary(uniqueKeysWithValues: renamed.names.map { ($0, try renamed.parameter($0).tensor) }))
    let plain = try load(from: whole) { FluxTransformer(config, $0) }
    let isSame = try ComputePrecision.with(.float) {
      try TinyFlux.sample(model).isIdentical(to: TinyFlux.sample(plain))
    }
    #expect(isSame)
    let truth = try #require(TinyFlux.golden.outputs()["sample"])
    let error = (try TinyFlux.sample(model) - truth).absolute().amax().item
    #expect(error > 0 && error < 0.05 * truth.absolute().amax().item, "quantised by 8 bits: \(error)")
  }

  @Test func rowsOfAFusedQuantisedMatrixStayQuantised() throws {
    var generator = Generator(seed: 1), sketch = GGUFSketch()
    let fused = generator.randn([9, 64])
    sketch.add("qkv.weight", fused, type: 8)
    let source = try sketch.weights
    let renamed = RenamedWeights(
      source,
      [
        "k.weight": .init("qkv.weight", .rows(3..<6, of: 9)), "bad.weight": .init("qkv.weight", .rows(0..<3, of: 12)),
      ])
    guard case .quantized(let rows) = try renamed.parameter("k.weight") else {
      Issue.record("the rows were unpacked")
      return
    }
    #expect(rows.shape == [3, 64])
    #expect(rows.dequantized().isIdentical(to: try source.parameter("qkv.weight").tensor.narrow(0, from: 3, count: 3)))
    #expect(renamed.shape(of: "bad.weight") == [9, 64])
    #expect(throws: WeightProblem.shape("qkv.weight", expected: [12, 64], found: [9, 64], file: "sketch.gguf")) {
      try renamed.parameter("bad.weight")
    }
  }

  private func withFloats(_ kernels: Kernels, _ body: () -> Void) {
    Kernels.with(kernels) { ComputePrecision.with(.float, body) }
  }

  /// More rows than one panel holds, and part of the columns that does not begin at a block.
  @Test func panelsGiveTheBitsOfTheWholeMatrix() throws {
    var generator = Generator(seed: 2), sketch = GGUFSketch()
    sketch.add("w", generator.randn([2500, 2048]), type: 8)
    let parameter = try sketch.weights.parameter("w")
    let bias = generator.randn([2500]), gate = generator.randn([1, 2500]), residual = generator.randn([1, 19, 2500])
    for kernels in Kernels.available {
      withFloats(kernels) {
        let quantized = Linear(weight: parameter, bias: bias), plain = Linear(weight: parameter.tensor, bias: bias)
        for rows in [1, 19] {
          let x = generator.randn([1, rows, 2048])
          #expect(quantized(x, activation: .geluTanh).isIdentical(to: plain(x, activation: .geluTanh)), "\(kernels)")
          let parts = [[x.narrow(2, from: 0, count: 72)], [x.narrow(2, from: 72, count: 1976)]]
          let residual = residual.narrow(1, from: 0, count: rows)
          let results = [quantized, plain].map { $0(parts: parts, gates: [gate], residuals: [residual])[0] }
          #expect(results[0].isIdentical(to: results[1]), "\(kernels), \(rows) rows")
        }
      }
    }
  }
}
