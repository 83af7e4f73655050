import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// What rounded products change in pictures of the embedded models: integers, where their transformers are in blocks, and bf16.
@Suite struct RoundedProductTests {
  /// A pipeline whose transformer's matrices are in blocks: of `format` where their rows are whole blocks, else of Q8_0.
  private func quantized(_ model: EmbeddedModel, _ format: QuantizedMatrix.Format) throws -> any DiffusionPipeline {
    let weights = try SafetensorsWeights(folder: "\(model.folder)/transformer")
    var sketch = GGUFSketch()
    for name in weights.names.sorted() {
      guard let shape = weights.shape(of: name) else { continue }
      let tensor = try weights.parameter(name).tensor
      let columns = shape.last ?? 0
      let fitting = [format, .q8_0].first { columns % $0.blockSize == 0 }
      sketch.add(name, tensor, type: shape.count == 2 ? fitting?.rawValue ?? 0 : 0)
    }
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).gguf")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(sketch.bytes).write(to: file)
    var options = CheckpointOptions()
    options.files["transformer"] = file.path
    return try openPipeline(model.rawValue, options)
  }

  /// Where activations are rounded to bf16, pictures differ by a noise of 50 to 62 dB.
  @Test(arguments: [EmbeddedModel.tinyFlux, .tinySD3], Kernels.available.filter { roundingSets.contains($0.name) })
  func picturesOfRoundedActivationsStayNearThoseOfFloats(_ model: EmbeddedModel, _ kernels: Kernels) throws {
    try Kernels.with(kernels) {
      let pipeline = try openPipeline(model.rawValue)
      let levels = try (1...4).map { seed in
        func picture(_ precision: ComputePrecision) throws -> Tensor {
          try ComputePrecision.with(precision) {
            var request = GenerationRequest("a boat on the sea under the sky")
            request.seed = UInt64(seed)
            return try pipeline.generate(request).frames
          }
        }
        return decibels(try picture(.float), try picture(.bf16))
      }
      #expect(levels.allSatisfy { $0 > 45 && $0.isFinite }, "\(model) \(kernels): \(levels) dB")
    }
  }

  /// Peak signal to noise of values in 0 … 1.
  private func decibels(_ a: Tensor, _ b: Tensor) -> Double {
    let error = Double((a - b).norm().item)
    return 10 * log10(Double(a.count) / (error * error))
  }

  private static let cases: [(EmbeddedModel, QuantizedMatrix.Format)] =
    [.q8_0, .q4_0, .q4_K, .q5_K, .q6_K].map { (.tinyFlux, $0) } + [(.tinySD3, .q8_0), (.tinySD3, .q4_K)]

  /// Pictures 25 dB apart are those of another drawing of the same scene; most are some 45 dB apart.
  @Test(arguments: cases)
  func picturesOfIntegersStayNearThoseOfFloats(_ model: EmbeddedModel, _ format: QuantizedMatrix.Format) throws {
    let pipeline = try quantized(model, format)
    var levels: [Double] = []
    for (prompt, seed) in [("a boat on the sea", UInt64(1)), ("a house under the moon", 2)] {
      func run(_ precision: ComputePrecision) throws -> (picture: Tensor, blocks: [String: Tensor]) {
        try ComputePrecision.with(precision) {
          var request = GenerationRequest(prompt)
          request.seed = seed
          let outputs = FirstOutputs()
          return (try pipeline.generate(request, processors: [outputs]).frames, outputs.tensors)
        }
      }
      let exact = try run(.float), rounded = try run(.int8)
      levels.append(decibels(exact.picture, rounded.picture))
      #expect(!exact.blocks.isEmpty)
      for (site, output) in exact.blocks {
        let other = try #require(rounded.blocks[site])
        let error = (other - output).norm().item / output.norm().item
        #expect(error > 0 && error < 0.02, "\(model) \(format) \(site): \(error)")
      }
    }
    #expect(levels.allSatisfy { $0 > 25 } && levels.reduce(0, +) > 60, "\(model) \(format): \(levels) dB")
  }
}

/// The instruction sets that round activations.
private let roundingSets: Set = ["avx512bf16", "amx"]

/// What the first block of a model makes of the image at the first step.
private final class FirstOutputs: AttentionProcessor {
  var tensors: [String: Tensor] = [:]

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    guard let first = model.blocks.first else { return }
    hooks.read("\(first).image.residualOutput") { tensor, site, pass in
      if pass.step == 0 { self.tensors["\(site)"] = tensor }
    }
  }
}
