import NN

extension T5Config {
  /// The configuration that the shapes of an encoder's weights tell, for a file without one. The distance beyond which
  /// positions are not told apart is T5's 128, which no shape tells.
  ///
  /// - Parameters:
  ///   - source: weights under transformers' names
  ///   - path: the file, for messages
  /// - Throws: `ModelError` naming the weight that is missing or does not fit
  public init(inferredFrom source: any WeightSource, path: String) throws {
    func fail(_ text: String) -> ModelError { ModelError(path, .badConfig(text)) }
    func shape(_ name: String) throws -> [Int] {
      guard let shape = source.shape(of: name), shape.count == 2, shape.allSatisfy({ (1...1 << 20).contains($0) })
      else {
        throw fail("matrix '\(name)' is missing: is this the encoder of T5 v1.1?")
      }
      return shape
    }
    let shared = source.shape(of: "shared.weight") == nil ? "encoder.embed_tokens.weight" : "shared.weight"
    let tokens = try shape(shared), layer = "encoder.block.0.layer"
    let positions = try shape("\(layer).0.SelfAttention.relative_attention_bias.weight")
    let inner = try shape("\(layer).0.SelfAttention.q.weight")[0]
    guard inner % positions[1] == 0 else {
      throw fail("queries of \(inner) rows do not divide among the \(positions[1]) heads of relative_attention_bias")
    }
    guard positions[0] % 2 == 0, (4...256).contains(positions[0]) else {
      throw fail("relative_attention_bias has \(positions[0]) buckets, expected an even number from 4 to 256")
    }
    vocabularySize = tokens[0]
    dim = tokens[1]
    keyDim = inner / positions[1]
    feedForwardDim = try shape("\(layer).1.DenseReluDense.wi_0.weight")[0]
    layers = blockCount("encoder.block.", in: source.names)
    heads = positions[1]
    relativeBuckets = positions[0]
    relativeMaxDistance = 128
    layerNormEpsilon = 1e-6
    feedForwardProjection = "gated-gelu"
  }
}
