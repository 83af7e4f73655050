import Tensor

extension FeedForward {
  /// `residual + gate * mlp(x)` at the end of a block, in one pass over the weights, with the `mlpOutput` sites of the
  /// inputs. Whether or not a site is wanted, the arithmetic is the same.
  ///
  /// - Parameters:
  ///   - xs: per input `[batch, tokens, dim]`, modulated
  ///   - gates: per input `[batch, dim]`
  ///   - residuals: per input `[batch, tokens, dim]`
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor], taps: [Tap]) -> [Tensor] {
    guard taps.contains(where: { $0.wants(.mlpOutput) }) else { return self(xs, gates: gates, residuals: residuals) }
    let outputs = zip(taps, down(hidden(xs))).map { $0(.mlpOutput, $1) }
    return outputs.indices.map { residuals[$0].adding(outputs[$0], gatedBy: gates[$0].expanded(axis: 1)) }
  }
}
