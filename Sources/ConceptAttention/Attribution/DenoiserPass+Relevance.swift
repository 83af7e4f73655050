import Models
import NN
import Tensor

extension DenoiserPass {
  /// How much the tokens of the picture bring to a scalar: gradient × activation, summed over the channels of every token.
  ///
  /// `relevance[token] = Σ_sites Σ_heads,channels x · ∂scalar/∂x`; at attention outputs the gradient-weighted attention of
  /// Chefer et al., arXiv 2103.15679 §3, for tokens; at `residualInput` of the first block, gradient × input.
  ///
  /// - Parameters:
  ///   - patterns: sites of image tokens, per token or per head and token
  ///   - positive: whether what speaks against the scalar is left out, site by site and head by head
  /// - Returns: `[batch, frames, height, width]`
  /// - Throws: `GradientError`, also for sites whose tokens are not the picture's; `HookError`
  public func relevanceMap(
    of scalar: Scalar, at patterns: [SitePattern], positive: Bool = false,
    processors: [any AttentionProcessor] = []
  ) throws -> Tensor {
    let tokens = try relevance(of: scalar, at: patterns, positive: positive, processors: processors)
    let grid = pass.grid
    guard tokens.shape[1] == grid.count else {
      throw GradientError.badDerivative(
        place: "a relevance map's sites", found: tokens.shape, expected: [tokens.shape[0], grid.count])
    }
    return tokens.unflattened(1, grid.frames, grid.height, grid.width)
  }

  /// The same for the tokens of any stream, such as the prompt's.
  ///
  /// - Returns: `[batch, tokens]`
  public func relevance(
    of scalar: Scalar, at patterns: [SitePattern], positive: Bool = false,
    processors: [any AttentionProcessor] = []
  ) throws -> Tensor {
    let reader = SiteReader(patterns)
    let gradient = try gradient(of: scalar, at: patterns.map(GradientPlace.sites), processors: processors + [reader])
    var sum: Tensor?
    for (site, slope) in gradient.sites.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      guard let value = reader.tensors[site] else { continue }
      guard value.rank > 2 else {
        throw GradientError.noSuchPlace("\(site)", reason: "has no tokens")
      }
      var part = (value * slope).sum(-1)
      if positive { part = part.maximum(0) }
      if part.rank == 3 { part = part.sum(1) }
      if let before = sum, before.shape != part.shape {
        throw GradientError.badDerivative(place: "\(site)", found: part.shape, expected: before.shape)
      }
      sum = sum.map { $0 + part } ?? part
    }
    guard let sum else { throw GradientError.nothing("no site is given to take relevance at") }
    return sum
  }
}
