import NN

extension SD3Config {
  /// The configuration that the shapes of a transformer's weights tell, for a file without one.
  ///
  /// - Parameters:
  ///   - source: weights under diffusers' names
  ///   - described: a configuration from elsewhere, for what no shape tells: the size of the pictures, and the width of
  ///     heads where they are not normalised; nil for 1024 px and 64
  ///   - path: the file, for messages
  /// - Throws: `ModelError` naming the weight that is missing or does not fit
  public init(inferredFrom source: any WeightSource, described: SD3Config? = nil, path: String) throws {
    func fail(_ text: String) -> ModelError { ModelError(path, .badConfig(text)) }
    func shape(_ name: String, rank: Int) throws -> [Int] {
      guard let shape = source.shape(of: name) else {
        throw fail("weight '\(name)' is missing: is this Stable Diffusion 3?")
      }
      guard shape.count == rank, shape.allSatisfy({ (1...1 << 20).contains($0) }) else {
        throw fail("weight '\(name)' has shape \(shape), expected \(rank) axes")
      }
      return shape
    }
    let names = source.names
    let patches = try shape("pos_embed.proj.weight", rank: 4), positions = try shape("pos_embed.pos_embed", rank: 3)[1]
    let layers = blockCount("transformer_blocks.", in: names), patch = patches[2]
    let isNormalised = source.shape(of: "transformer_blocks.0.attn.norm_q.weight") != nil
    let headDim =
      isNormalised
      ? try shape("transformer_blocks.0.attn.norm_q.weight", rank: 1)[0] : described?.attentionHeadDim ?? 64
    guard layers > 0, patches[0] % headDim == 0 else {
      throw fail(
        "width \(patches[0]) of \(layers) blocks, expected at least one block and a multiple of the heads' \(headDim)")
    }
    let side = Int(Double(positions).squareRoot().rounded())
    guard side * side == positions, side <= 512, patch <= 64 else {
      throw fail("'pos_embed' has \(positions) positions, expected the square of at most 512")
    }
    self.init(
      sampleSize: described?.sampleSize ?? 128, patchSize: patch, inChannels: patches[1],
      outChannels: try shape("proj_out.weight", rank: 2)[0] / (patch * patch), numLayers: layers,
      attentionHeadDim: headDim, numAttentionHeads: patches[0] / headDim,
      jointAttentionDim: try shape("context_embedder.weight", rank: 2)[1],
      pooledProjectionDim: try shape("time_text_embed.text_embedder.linear_1.weight", rank: 2)[1],
      posEmbedMaxSize: side,
      dualAttentionLayers: Set(
        (0..<layers).filter { source.shape(of: "transformer_blocks.\($0).attn2.to_q.weight") != nil }),
      queryKeyNorm: isNormalised)
  }
}
