import NN
import Tensor

extension GoCA {
  /// Cross-attention of image tokens over text tokens, all blocks together, adding up to 1, `[batch, tokens, textTokens]`.
  public func aggregated() throws(SaliencyError) -> Tensor {
    guard let value = aggregates.value else { throw .nothingRecorded }
    return value
  }

  /// How much every block counts, adding up to 1, `[batch, blocks]`.
  public func layerWeights() throws(SaliencyError) -> Tensor {
    guard let value = layers.value else { throw .nothingRecorded }
    return value
  }

  /// Self-attention of image tokens, averaged over heads and blocks, `[batch, tokens, tokens]`.
  public func affinity() throws(SaliencyError) -> Tensor {
    guard let value = affinities.value else { throw .nothingRecorded }
    return value
  }

  /// Maps of every concept and every thing of the background before they are spread, in 0 … 1.
  ///
  /// - Returns: `[batch, concepts + background, frames, height, width]`
  public func rescaled() throws(SaliencyError) -> Tensor {
    guard let grid else { throw .nothingRecorded }
    let weights = try aggregated()
    let raw = stacked((concepts + background).map { weights.take(2, $0.tokens).mean(2) }, axis: 1)
    let factor = options.rescaling.isEmpty ? nil : weights.take(2, options.rescaling).sum(2).unsqueezed(1)
    let maps = (factor.map { raw / $0 } ?? raw).unflattened(-1, grid.frames, grid.height, grid.width)
    return GoCA.blurred(maps).minMaxNormalized([2, 3, 4])
  }

  /// One map per concept, and `background` after them where something of it is named.
  public func maps() throws(SaliencyError) -> SaliencyMaps { try maps(spread: true) }

  /// - Parameter spread: whether self-attention has spread them
  public func maps(spread: Bool) throws(SaliencyError) -> SaliencyMaps {
    guard let grid else { throw .nothingRecorded }
    let all = try rescaled()
    var maps = all.narrow(1, from: 0, count: concepts.count), names = concepts.map(\.name)
    if !background.isEmpty {
      let rest = all.narrow(1, from: concepts.count, count: background.count).amax(1, keepDims: true)
      maps = concatenated([maps, rest], axis: 1)
      names.append("background")
    }
    if spread {
      let affinity = try affinity().transposed()
      var flat = maps.flattened(from: 2)
      for _ in 0..<options.order { flat = Tensor.matmul(flat, affinity) }
      maps = flat.reshaped(maps.shape).minMaxNormalized([2, 3, 4])
    }
    return SaliencyMaps(concepts: names, grid: grid, average: maps)
  }
}
