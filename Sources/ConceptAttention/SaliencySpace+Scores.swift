import NN
import Tensor

/// The vectors of one block whose products make the map.
struct SaliencyVectors {
  /// `[batch, heads, concepts, headDim]`
  var concepts: Tensor
  /// `[batch, heads, imageTokens, headDim]`
  var image: Tensor
  /// Of their products.
  var scale: Float = 1
}

extension SaliencySpace {
  /// One vector per concept and per image token; nil for a space that is no product.
  func vectors(
    _ block: BlockView, _ concepts: ConceptSet, _ stream: StreamID, _ options: ConceptAttentionOptions
  ) -> SaliencyVectors? {
    guard let concept = block[stream], let image = block[.image] else { return nil }
    func pair(_ concept: Tensor, _ image: Tensor, scale: Float = 1) -> SaliencyVectors {
      SaliencyVectors(concepts: concepts.perConcept(concept), image: image, scale: scale)
    }
    switch self {
    case .output:
      let seesConcepts = options.imageOutputs == .readingConcepts
      let other = seesConcepts ? block.attention(query: .image, reads: [.image, stream]) : nil
      return pair(concept.output, other ?? image.output)
    case .crossAttention: return pair(concept.key, image.query, scale: block.scale)
    case .conceptQuery: return pair(concept.query, image.key, scale: block.scale)
    case .queryQuery: return pair(concept.query, image.query)
    case .value: return pair(concept.value, image.value)
    case .attention: return nil
    }
  }

  /// Products, before any softmax over the concepts.
  func scores(_ vectors: SaliencyVectors, _ options: ConceptAttentionOptions) -> SaliencyScores {
    let c = options.conceptScaling.scaled(vectors.concepts), x = vectors.image
    // Concepts first: a handful of rows against all image tokens, read once.
    var scores = SaliencyScores(together: Tensor.matmul(c.mergedHeads, x.mergedHeads.transposed()) * vectors.scale)
    if options.keeping.needHeads { scores.perHead = Tensor.matmul(c, x.transposed()) * vectors.scale }
    return scores
  }
}

/// Attention probabilities of the concepts over the image tokens.
func probabilities(
  _ block: BlockView, _ concepts: ConceptSet, _ stream: StreamID, _ options: ConceptAttentionOptions
) -> SaliencyScores {
  let all = concepts.perConcept(block.probabilities(query: stream, keys: [stream, .image]))
  let count = block[.image]?.key.shape[2] ?? 0
  let overImage = all.narrow(-1, from: all.shape[3] - count, count: count)
  return SaliencyScores(together: overImage.mean(1), perHead: options.keeping.needHeads ? overImage : nil)
}

extension ConceptScaling {
  /// - Parameter vectors: `[batch, heads, concepts, headDim]`
  func scaled(_ vectors: Tensor) -> Tensor {
    switch self {
    case .none: return vectors
    case .overConcepts:
      let shifted = vectors - vectors.amin(2, keepDims: true)
      let total = shifted.sum(2, keepDims: true)
      return shifted / total.filled(where: total.equal(to: 0), with: 1)
    case .length:
      let length = vectors.squared().sum(-1, keepDims: true).sum(1, keepDims: true).squareRoot()
      return vectors / (length + 1e-8)
    }
  }
}

extension ConceptAttentionOptions {
  /// - Parameter concepts: how many there are; rows of padding behind them compete and are then left out
  func normalized(_ scores: SaliencyScores, of concepts: Int) -> SaliencyScores {
    scores.mapValues { scores in
      let all = normalization == .softmax ? scores.softmax(-2) : scores
      return all.shape[all.rank - 2] == concepts ? all : all.narrow(-2, from: 0, count: concepts)
    }
  }
}
