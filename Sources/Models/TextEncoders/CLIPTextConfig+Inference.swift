import NN
import Tensor

extension CLIPTextConfig {
  /// The configuration that the shapes of a text model's weights tell, for a file without one.
  ///
  /// Heads and activation are those of the published models, which no shape tells: heads of 64, quick GELU in OpenAI's
  /// CLIP-L (768 wide), GELU in OpenCLIP's.
  ///
  /// - Parameters:
  ///   - source: weights under transformers' names
  ///   - path: the file, for messages
  /// - Throws: `ModelError` naming the weight that is missing or does not fit
  public init(inferredFrom source: any WeightSource, path: String) throws {
    let text = source.shape(of: "embeddings.token_embedding.weight") == nil ? "text_model." : ""
    func shape(_ name: String) throws -> [Int] {
      guard let shape = source.shape(of: name), shape.count == 2, shape.allSatisfy({ (1...1 << 20).contains($0) })
      else {
        throw ModelError(path, .badConfig("matrix '\(name)' is missing: is this a CLIP text encoder?"))
      }
      return shape
    }
    let tokens = try shape("\(text)embeddings.token_embedding.weight")
    guard tokens[1] % 64 == 0 else {
      throw ModelError(
        path,
        .badConfig("width \(tokens[1]), expected a multiple of 64: the heads of others must be given by a config.json"))
    }
    let projection = source.shape(of: "text_projection.weight")
    vocabularySize = tokens[0]
    dim = tokens[1]
    feedForwardDim = try shape("\(text)encoder.layers.0.mlp.fc1.weight")[0]
    layers = blockCount("\(text)encoder.layers.", in: source.names)
    heads = tokens[1] / 64
    maxPositions = try shape("\(text)embeddings.position_embedding.weight")[0]
    projectionDim = try projection == nil ? tokens[1] : shape("text_projection.weight")[0]
    activation = tokens[1] == 768 ? .quickGELU : .gelu
    layerNormEpsilon = 1e-5
    // The end of the text has the highest id in both vocabularies.
    endOfTextID = 2
    hasProjection = projection != nil
  }
}
