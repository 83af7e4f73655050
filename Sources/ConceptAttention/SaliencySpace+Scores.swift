import NN
import Tensor

/// Which heads a score is about.
enum HeadSelection: Hashable {
  /// All heads added up.
  case together
  case apart
}

extension SaliencySpace {
  /// Products of concept and image vectors of one block, before any softmax over the concepts.
  ///
  /// - Returns: `together`: `[batch, concepts, tokens]`; with `.heads` kept also `apart`:
  ///   `[batch, heads, concepts, tokens]`
  func scores(
    _ concept: BlockView.StreamView, _ image: BlockView.StreamView, _ block: BlockView,
    _ options: ConceptAttentionOptions
  ) -> [HeadSelection: Tensor] {
    if self == .attention { return probabilities(concept, block, options) }
    var (c, x) = vectors(concept, image)
    if options.normalizesConceptVectors { c = normalizedOverConcepts(c) }
    let scale = self == .crossAttention || self == .conceptQuery ? block.scale : 1
    // Concepts first: a handful of rows against all image tokens, read once.
    var scores = [HeadSelection.together: Tensor.matmul(c.mergedHeads, x.mergedHeads.transposed()) * scale]
    if options.keeping.contains(.heads) { scores[.apart] = Tensor.matmul(c, x.transposed()) * scale }
    return scores
  }

  /// Each `[batch, heads, tokens, headDim]`.
  private func vectors(_ concept: BlockView.StreamView, _ image: BlockView.StreamView) -> (Tensor, Tensor) {
    switch self {
    case .output, .attention: (concept.output, image.output)
    case .crossAttention: (concept.key, image.query)
    case .conceptQuery: (concept.query, image.key)
    case .queryQuery: (concept.query, image.query)
    case .value: (concept.value, image.value)
    }
  }

  private func probabilities(
    _ concept: BlockView.StreamView, _ block: BlockView, _ options: ConceptAttentionOptions
  ) -> [HeadSelection: Tensor] {
    let count = concept.query.shape[2]
    let all = block.probabilities(query: concept.id, keys: [concept.id, .image])
    let overImage = all.narrow(-1, from: count, count: all.shape[3] - count)
    var scores = [HeadSelection.together: overImage.mean(1)]
    if options.keeping.contains(.heads) { scores[.apart] = overImage }
    return scores
  }

  /// - Parameter vectors: `[batch, heads, concepts, headDim]`
  private func normalizedOverConcepts(_ vectors: Tensor) -> Tensor {
    let shifted = vectors - vectors.amin(2, keepDims: true)
    let total = shifted.sum(2, keepDims: true)
    return shifted / total.filled(where: total.equal(to: 0), with: 1)
  }
}
