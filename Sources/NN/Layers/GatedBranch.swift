import Tensor

// The ends of a block's two branches, in one pass over the weights, with the sites on the way. Whether or not a site is wanted,
// the arithmetic is the same.

extension FeedForward {
  /// `residual + gate * mlp(x)`, with the sites `mlpHidden` and `mlpOutput` of the inputs.
  ///
  /// - Parameters:
  ///   - xs: per input `[batch, tokens, dim]`, modulated
  ///   - gates: per input `[batch, dim]`
  ///   - residuals: per input `[batch, tokens, dim]`
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor], taps: [Tap]) -> [Tensor] {
    let hidden = zip(taps, hidden(xs)).map { $0(.mlpHidden, $1) }
    return down(hidden, gates: gates, residuals: residuals, taps: taps, at: .mlpOutput)
  }
}

extension Linear {
  /// `residual + gate * (x Wᵀ + b)` of an attention's output projection, with the sites `attentionProjected` and
  /// `residualMiddle` of the inputs.
  ///
  /// - Parameters:
  ///   - xs: per input `[batch, tokens, heads * headDim]`
  ///   - gates: per input `[batch, dim]`
  ///   - residuals: per input `[batch, tokens, dim]`
  public func callAsFunction(_ xs: [Tensor], gates: [Tensor], residuals: [Tensor], taps: [Tap]) -> [Tensor] {
    let tokens = self(xs, gates: gates, residuals: residuals, taps: taps, at: .attentionProjected)
    return zip(taps, tokens).map { $0(.residualMiddle, $1) }
  }

  /// `residual + gate * (x Wᵀ + b)`, with a site of the inputs before the gate.
  public func callAsFunction(
    _ xs: [Tensor], gates: [Tensor], residuals: [Tensor], taps: [Tap], at point: Site.Point
  ) -> [Tensor] {
    guard taps.contains(where: { $0.wants(point) }) else { return self(xs, gates: gates, residuals: residuals) }
    return gated(zip(taps, self(xs)).map { $0(point, $1) }, gates, residuals)
  }

  /// `residual + gate * (concatenated parts · Wᵀ + b)`, with a site for each part's share, which the bias is in the first of.
  ///
  /// - Parameters:
  ///   - parts: each a list of inputs, `[batch, tokens, part]`
  ///   - points: one for each part
  public func callAsFunction(
    parts: [[Tensor]], gates: [Tensor], residuals: [Tensor], taps: [Tap], at points: [Site.Point]
  ) -> [Tensor] {
    guard taps.contains(where: { tap in points.contains(where: tap.wants) }) else {
      return self(parts: parts, gates: gates, residuals: residuals)
    }
    var column = 0, results = residuals
    for (index, part) in parts.enumerated() {
      let width = part.first?.shape.last ?? 0
      let outputs = product(
        part.map { LinearInput($0) }, columns: column..<column + width, bias: index == 0 ? bias : nil)
      results = gated(zip(taps, outputs).map { $0(points[index], $1) }, gates, results)
      column += width
    }
    return results
  }

  private func gated(_ outputs: [Tensor], _ gates: [Tensor], _ residuals: [Tensor]) -> [Tensor] {
    outputs.indices.map { residuals[$0].adding(outputs[$0], gatedBy: gates[$0].unsqueezed(1)) }
  }
}
