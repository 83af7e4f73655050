import NN
import Tensor

extension FluxTransformer: DifferentiableModel {
  public func leaves(of input: Input) -> InputTensors {
    InputTensors(latents: input.image, text: input.text, pooled: input.pooled)
  }

  public func traceStreams(_ input: Input, _ leaves: InputVariables) -> [TracedEntry] {
    let pooled = leaves.pooled ?? Variable(input.pooled)
    let conditioning = timeTextEmbedding(
      timestep: input.timestep, guidance: input.guidance?.map { $0 * 1000 }, pooled: pooled)
    return [
      TracedEntry(.text, tokens: textEmbedder(leaves.text), conditioning: conditioning),
      TracedEntry(.image, tokens: imageEmbedder(leaves.latents), conditioning: conditioning),
    ]
  }

  /// A rider has a pooled vector of its own.
  public func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? { nil }

  public func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: Input) -> Variable {
    output(outputNorm(tokens, conditioning))
  }
}

extension FluxHalf: DifferentiableHalf {
  public func traceProject(_ input: TracedInput) -> TracedProjection<BranchModulations<Variable>> {
    let modulations = norm1.modulations(input.conditioning).visited(by: input.tap)
    return attention(input.tap(.modulated, norm1.norm(input.tokens, modulations.attention)), saving: modulations)
  }

  public func traceUpdate(_ input: TracedUpdate<BranchModulations<Variable>>) -> Variable? {
    ending(input, input.saved)
  }
}

extension FluxSingleBlock: DifferentiableHalf {
  public func traceProject(_ input: TracedInput) -> TracedProjection<(gate: Variable, hidden: Variable)> {
    let modulation = norm.modulation(input.conditioning).visited(as: .attention, by: input.tap)
    let x = input.tap(.modulated, norm.norm(input.tokens, modulation))
    return attention(x, saving: (modulation.gate, input.tap(.mlpHidden, mlp(x).activated(by: .geluTanh))))
  }

  public func traceUpdate(_ input: TracedUpdate<(gate: Variable, hidden: Variable)>) -> Variable? {
    let shares = output.shares([input.mergedAttention, input.saved.hidden]), gate = input.saved.gate
    return input.tokens.adding(input.tap(.attentionProjected, shares[0]), gatedBy: gate)
      .adding(input.tap(.mlpOutput, shares[1]), gatedBy: gate)
  }
}
