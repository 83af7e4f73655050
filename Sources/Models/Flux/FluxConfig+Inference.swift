import NN

extension FluxConfig {
  /// The configuration that the shapes of a transformer's weights tell, for a file without one.
  ///
  /// - Parameters:
  ///   - source: weights under diffusers' names
  ///   - axes: rotary axes, which no shape tells; nil for FLUX.1's with heads of 128
  ///   - path: the file, for messages
  /// - Throws: `ModelError` naming the weight that is missing or does not fit
  public init(inferredFrom source: any WeightSource, axes: [Int]? = nil, path: String) throws {
    func fail(_ text: String) -> ModelError { ModelError(path, .badConfig(text)) }
    func shape(_ name: String, rank: Int) throws -> [Int] {
      guard let shape = source.shape(of: name) else { throw fail("weight '\(name)' is missing: is this FLUX.1?") }
      guard shape.count == rank, shape.allSatisfy({ (1...1 << 20).contains($0) }) else {
        throw fail("weight '\(name)' has shape \(shape), expected \(rank) axes")
      }
      return shape
    }
    let image = try shape("x_embedder.weight", rank: 2), output = try shape("proj_out.weight", rank: 2)
    let layers = blockCount("transformer_blocks.", in: source.names)
    let singleLayers = blockCount("single_transformer_blocks.", in: source.names)
    let family = layers > 0 ? "transformer_blocks" : "single_transformer_blocks"
    let headDim = try shape("\(family).0.attn.norm_q.weight", rank: 1)[0]
    guard image[0] % headDim == 0 else { throw fail("width \(image[0]) is not a multiple of the heads' \(headDim)") }
    let known = [axes ?? [], [16, 56, 56]].first { $0.count == 3 && $0.reduce(0, +) == headDim }
    guard let axes = known else {
      throw fail("heads of \(headDim), expected 128: the rotary axes of others must be given by a config.json")
    }
    self.init(
      inChannels: image[1], outChannels: output[0] == image[1] ? nil : output[0], numLayers: layers,
      numSingleLayers: singleLayers, attentionHeadDim: headDim, numAttentionHeads: image[0] / headDim,
      jointAttentionDim: try shape("context_embedder.weight", rank: 2)[1],
      pooledProjectionDim: try shape("time_text_embed.text_embedder.linear_1.weight", rank: 2)[1],
      guidanceEmbeds: source.shape(of: "time_text_embed.guidance_embedder.linear_1.weight") != nil, axesDimsRope: axes)
  }
}
