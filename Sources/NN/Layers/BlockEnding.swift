import Tensor

/// What follows the attention in most blocks: its output projection onto the residual stream, then the MLP of what came of it.
public struct BlockEnding: Sendable {
  public var output: Linear
  public var norm: LayerNorm
  public var feedForward: FeedForward

  public init(output: Linear, norm: LayerNorm, feedForward: FeedForward) {
    self.output = output
    self.norm = norm
    self.feedForward = feedForward
  }

  /// The tokens that leave the block.
  public func callAsFunction<Saved>(
    _ inputs: [UpdateInput<Saved>], _ modulations: [BranchModulations<Tensor>]
  ) -> [Tensor] {
    let taps = inputs.map(\.tap)
    let attended = output(
      inputs.map(\.mergedAttention), gates: modulations.map(\.attention.gate), residuals: inputs.map(\.tokens),
      taps: taps)
    return mlp(attended, modulations, taps: taps)
  }

  /// The MLP alone.
  ///
  /// - Parameter xs: tokens between attention and MLP, each `[batch, tokens, dim]`
  public func mlp(_ xs: [Tensor], _ modulations: [BranchModulations<Tensor>], taps: [Tap]) -> [Tensor] {
    let inputs = xs.indices.map { taps[$0](.mlpInput, norm(xs[$0], modulations[$0].mlp)) }
    return feedForward(inputs, gates: modulations.map(\.mlp.gate), residuals: xs, taps: taps)
  }

  public func callAsFunction<Saved>(
    _ input: TracedUpdate<Saved>, _ modulations: BranchModulations<Variable>
  ) -> Variable {
    let attended = output(
      input.mergedAttention, gate: modulations.attention.gate, residual: input.tokens, tap: input.tap)
    return mlp(attended, modulations, tap: input.tap)
  }

  public func mlp(_ x: Variable, _ modulations: BranchModulations<Variable>, tap: TracedTap) -> Variable {
    feedForward(tap(.mlpInput, norm(x, modulations.mlp)), gate: modulations.mlp.gate, residual: x, tap: tap)
  }
}
