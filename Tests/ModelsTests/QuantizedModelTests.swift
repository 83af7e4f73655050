import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// What integer products change in the embedded models with their transformers in blocks.
@Suite struct QuantizedModelTests {
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

  /// Peak signal to noise of values in 0 … 1.
  private func decibels(_ a: Tensor, _ b: Tensor) -> Double {
    let error = Double((a - b).norm().item)
    return 10 * log10(Double(a.count) / (error * error))
  }

  @Test(
    arguments: [EmbeddedModel.tinyFlux, .tinySD3], [QuantizedMatrix.Format.q8_0, .q4_0, .q4_K, .q5_K, .q6_K])
  func picturesOfIntegersStayWithinThirtyDecibels(_ model: EmbeddedModel, _ format: QuantizedMatrix.Format) throws {
    let pipeline = try quantized(model, format)
    for (prompt, seed) in [("a boat on the sea", UInt64(1)), ("a house under the moon", 2), ("a tree and a dog", 3)] {
      func picture(_ precision: ComputePrecision) throws -> Tensor {
        try ComputePrecision.with(precision) {
          var request = GenerationRequest(prompt)
          request.seed = seed
          return try pipeline.generate(request).frames
        }
      }
      let exact = try picture(.float), rounded = try picture(.int8)
      let level = decibels(exact, rounded)
      print("\(model) \(format) \(prompt): \(level) dB")
      #expect(level > 30, "\(model) \(format) '\(prompt)'")
      #expect(!rounded.isIdentical(to: exact), "\(model) \(format) '\(prompt)': no product was in integers")
    }
  }
}
