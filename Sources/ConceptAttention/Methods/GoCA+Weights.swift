import NN
import Tensor

extension GoCA {
  /// How much every head counts at every image token, `[batch, heads, tokens]`, adding up to 1. Without an output projection
  /// of the attention's own (FLUX's single blocks), all alike.
  public static func headWeights(_ weighting: HeadWeighting, _ image: BlockView.StreamView) -> Tensor {
    let shape = Array(image.output.shape.dropLast())
    guard weighting != .average, !image.sharesProjection, let shares = image.projectedHeads else {
      return Tensor(full: shape, 1 / Float(shape[1]))
    }
    let total = shares.sum(1, keepDims: true)
    func length(_ x: Tensor) -> Tensor { x.squared().sum(-1).squareRoot() }
    switch weighting {
    case .average, .dotProduct: return normalized((shares * total).sum(-1).clamped(min: 0), axis: 1)
    case .cosine:
      let product = (shares * total).sum(-1)
      return normalized(product / (length(shares) * length(total)).maximum(1e-8), axis: 1)
    case .length: return normalized(length(shares), axis: 1)
    }
  }

  /// How alike image tokens are: `softmax(R Rᵀ / sqrt(dim))` of the attention's output, after the projection where there is
  /// one, `[batch, tokens, tokens]`.
  static func likeness(_ image: BlockView.StreamView) -> Tensor {
    let outputs = (image.sharesProjection ? nil : image.projectedOutput) ?? image.mergedOutput
    return (Tensor.matmul(outputs, outputs.transposed()) / Float(outputs.shape[2]).squareRoot()).softmax(-1)
  }

  /// Not negative, and adding up to 1.
  static func normalized(_ x: Tensor, axis: Int = -1) -> Tensor {
    let positive = axis == 1 ? x : x.clamped(min: 0), total = positive.sum(axis, keepDims: true)
    return positive / total.filled(where: total.equal(to: 0), with: 1)
  }

  /// A Gaussian of 5 × 5 tokens and σ = 1.1, mirrored at the edges.
  ///
  /// - Parameter maps: `[batch, maps, frames, height, width]`
  static func blurred(_ maps: Tensor) -> Tensor {
    let weights = (-2...2).map { Tensor(-0.5 * Float($0 * $0) / 1.21).exp().item }, total = weights.reduce(0, +)
    func blurred(_ map: Tensor, axis: Int) -> Tensor {
      let count = map.shape[axis]
      if count < 2 { return map }
      var result = Tensor(zeros: map.shape)
      for (offset, weight) in zip(-2...2, weights) {
        let places = (0..<count).map { mirrored($0 + offset, count) }
        result += map.take(axis, places) * (weight / total)
      }
      return result
    }
    return blurred(blurred(maps, axis: 3), axis: 4)
  }

  private static func mirrored(_ place: Int, _ count: Int) -> Int {
    let period = 2 * (count - 1), inside = ((place % period) + period) % period
    return inside < count ? inside : period - inside
  }
}
