import Glibc
import NN
import Tensor

/// How many directions points really vary in, whatever space they lie in: the manifold's dimension, from the distances of every
/// point to its two nearest neighbours.
///
/// With `μ = r₂ / r₁`, `d = N / Σ log μ` (maximum likelihood), and `d` the slope through the origin of `-log(1 - i / N)` on the
/// sorted `log μ`, the largest left out.
///
/// Source: Facco et al. 2017, TwoNN.
public struct IntrinsicDimension: Sendable {
  public let maximumLikelihood: Double
  public let slope: Double
  /// Distances of every point to the nearest and the second nearest, `[points, 2]`.
  public let neighbourDistances: Tensor

  /// Points that have a twin (distance 0) say nothing and are left out of both estimates.
  ///
  /// - Parameters:
  ///   - points: `[points, dim]`, three at least
  ///   - discard: the share of the largest ratios that the slope leaves out, 0 … 1
  public init(of points: Tensor, discard: Double = 0.1) {
    guard points.rank == 2, points.shape[0] >= 3, (0..<1).contains(discard) else {
      tensorFailure("IntrinsicDimension: points of shape \(points.shape), discard \(discard)")
    }
    neighbourDistances = Self.distances(points.converted(to: .f32).contiguous())
    let distances = neighbourDistances.scalars(as: Float.self)
    let ratios = Swift.stride(from: 0, to: distances.count, by: 2).filter { distances[$0] > 0 }.map {
      log(Double(distances[$0 + 1]) / Double(distances[$0]))
    }.sorted()
    let count = ratios.count, kept = Int(Double(count) * (1 - discard))
    var product = 0.0, square = 0.0
    for index in 0..<kept {
      product -= ratios[index] * log(1 - Double(index + 1) / Double(count))
      square += ratios[index] * ratios[index]
    }
    maximumLikelihood = Double(count) / ratios.reduce(0, +)
    slope = product / square
  }

  /// Candidates from a matrix product, whose rounding is that of large numbers' differences; their distances then exactly.
  private static func distances(_ points: Tensor) -> Tensor {
    let count = points.shape[0], dim = points.shape[1]
    let centred = points - points.mean(0, keepDims: true), lengths = centred.squared().sum(-1)
    let candidates = min(count - 1, 16), rows = 512
    var result = [Float](repeating: 0, count: 2 * count)
    let values = points.floats
    for start in Swift.stride(from: 0, to: count, by: rows) {
      let chunk = centred.narrow(0, from: start, count: min(rows, count - start))
      let near = (lengths.unsqueezed(0) - Tensor.matmul(chunk, centred.transposed()) * 2)
        .topK(candidates + 1, largest: false).indices.scalars(as: Int.self)
      for row in 0..<chunk.shape[0] {
        let point = start + row
        let others = near[(row * (candidates + 1))..<((row + 1) * (candidates + 1))].filter { $0 != point }
        let exact = others.map { other in
          (0..<dim).reduce(0.0) { sum, axis in
            let difference = Double(values[point * dim + axis]) - Double(values[other * dim + axis])
            return sum + difference * difference
          }
        }.sorted()
        result[2 * point] = Float(exact[0].squareRoot())
        result[2 * point + 1] = Float(exact[1].squareRoot())
      }
    }
    return Tensor(result, shape: [count, 2])
  }
}

/// Token vectors as colours: their first three principal components, each scaled to 0 … 1. Tokens of like colour are alike to
/// the model.
public struct PrincipalColors: Sendable {
  public let components: PrincipalComponents
  /// Coordinates, `[tokens, 3]`.
  public let scores: Tensor
  /// Red, green and blue in 0 … 1, `[3, frames, height, width]`.
  public let colors: Tensor

  /// - Parameter tokens: of one picture, `[grid.count, dim]`
  /// - Throws: `LinearAlgebraError` for numbers that are not finite
  public init(of tokens: Tensor, grid: TokenGrid) throws {
    guard tokens.rank == 2, tokens.shape[0] == grid.count, min(tokens.shape[0], tokens.shape[1]) >= 3 else {
      tensorFailure("PrincipalColors: tokens of shape \(tokens.shape) on \(grid)")
    }
    components = try tokens.principalComponents(3)
    scores = components.transform(tokens)
    colors = scores.minMaxNormalized([0]).transposed().contiguous()
      .unflattened(1, grid.frames, grid.height, grid.width)
  }
}
