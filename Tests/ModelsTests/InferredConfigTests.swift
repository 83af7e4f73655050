import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Configurations that the shapes of a file tell.
@Suite struct InferredConfigTests {
  @Test func t5IsToldWhollyByItsShapes() throws {
    let folder = "\(try TinySD3.pipelineFolder())/text_encoder_3"
    let expected = try JSONDecoder().decode(
      T5Config.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/config.json")))
    #expect(try T5Config(inferredFrom: SafetensorsWeights(folder: folder), path: folder) == expected)
  }

  /// Zeros in the shapes of the published encoders, with fewer layers.
  @Test(arguments: [(768, 3072, "quick_gelu"), (1280, 5120, "gelu")])
  func clipHasHeadsOf64AndTheActivationOfItsWidth(dim: Int, hidden: Int, activation: String) throws {
    let text = """
      {"vocab_size": 10, "hidden_size": \(dim), "intermediate_size": \(hidden), "num_hidden_layers": 2,
       "num_attention_heads": \(dim / 64), "projection_dim": \(dim), "hidden_act": "\(activation)", "eos_token_id": 2,
       "architectures": ["CLIPTextModelWithProjection"]}
      """
    let expected = try JSONDecoder().decode(CLIPTextConfig.self, from: Data(text.utf8))
    let shapes = [
      "text_model.embeddings.token_embedding.weight": [10, dim],
      "text_model.embeddings.position_embedding.weight": [77, dim],
      "text_model.encoder.layers.0.mlp.fc1.weight": [hidden, dim],
      "text_model.encoder.layers.1.mlp.fc1.weight": [hidden, dim], "text_projection.weight": [dim, dim],
    ]
    let source = DictionaryWeights(shapes.mapValues { Tensor(zeros: [1]).broadcast(to: $0) })
    #expect(try CLIPTextConfig(inferredFrom: source, path: "test") == expected)
  }

  @Test func anotherModelIsRefused() throws {
    let transformer = try SafetensorsWeights(folder: TinySD3.folder)
    #expect(throws: ModelError.self) { try T5Config(inferredFrom: transformer, path: "test") }
    #expect(throws: ModelError.self) { try CLIPTextConfig(inferredFrom: transformer, path: "test") }
    let clip = try SafetensorsWeights(folder: "\(TinySD3.pipelineFolder())/text_encoder")
    let error = #expect(throws: ModelError.self) { try CLIPTextConfig(inferredFrom: clip, path: "test") }
    #expect("\(error as Any)".contains("width 16, expected a multiple of 64"))
    #expect(throws: ModelError.self) { try SD3Config(inferredFrom: clip, path: "test") }
  }
}
