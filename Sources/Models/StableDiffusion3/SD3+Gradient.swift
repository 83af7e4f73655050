import NN
import Tensor

extension SD3Transformer: DifferentiableModel {
  public func leaves(of input: Input) -> InputTensors {
    InputTensors(latents: input.latents, text: input.text, pooled: input.pooled)
  }

  public func traceStreams(_ input: Input, _ leaves: InputVariables) -> [TracedEntry] {
    let pooled = leaves.pooled ?? Variable(input.pooled)
    let conditioning = timeTextEmbedding(timestep: input.timestep, pooled: pooled)
    return [
      TracedEntry(.image, tokens: patchEmbedding(leaves.latents), conditioning: conditioning),
      TracedEntry(.text, tokens: textEmbedder(leaves.text), conditioning: conditioning),
    ]
  }

  public func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? {
    rider.pooled == nil ? native : nil
  }

  public func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: Input) -> Variable {
    let patch = config.patchSize
    return output(outputNorm(tokens, conditioning)).rearranged(
      "b (h w) (p q c) -> b c (h p) (w q)", ["h": input.latents.shape[2] / patch, "p": patch, "q": patch])
  }
}

extension SD3ImageHalf: DifferentiableHalf {
  public struct TracedSaved {
    let modulations: BranchModulations<Variable>
    var dual: TracedProjection<Variable>?
  }

  public func traceProject(_ input: TracedInput) -> TracedProjection<TracedSaved> {
    let tap = input.tap, modulations = norm1.modulations(input.conditioning).visited(by: tap)
    var saved = TracedSaved(modulations: modulations)
    if let dualAttention, let dual = modulations.dual {
      let projection = dualAttention(norm1.norm(input.tokens, dual), saving: dual.gate)
      saved.dual = TracedProjection(
        query: tap(.dualQuery, projection.query), key: tap(.dualKey, projection.key),
        value: tap(.dualValue, projection.value), saved: dual.gate)
    }
    return attention(tap(.modulated, norm1.norm(input.tokens, modulations.attention)), saving: saved)
  }

  public func traceUpdate(_ input: TracedUpdate<TracedSaved>) -> Variable? {
    let tap = input.tap, modulations = input.saved.modulations
    guard let dual = input.saved.dual, let dualAttention, let dualOutput else { return ending(input, modulations) }
    let x = input.tokens.adding(
      tap(.attentionProjected, ending.output(input.mergedAttention)), gatedBy: modulations.attention.gate)
    let projected = tap(.dualProjected, dualOutput(tap.dualAttention(dual).mergedHeads(dualAttention.heads)))
    return ending.mlp(tap(.residualMiddle, x.adding(projected, gatedBy: dual.saved)), modulations, tap: tap)
  }
}

extension SD3TextHalf: DifferentiableHalf {
  /// nil where the half ends at the attention.
  public func traceProject(_ input: TracedInput) -> TracedProjection<BranchModulations<Variable>?> {
    let tap = input.tap
    if let norm1 {
      let modulations = norm1.modulations(input.conditioning).visited(by: tap)
      return attention(tap(.modulated, norm1.norm(input.tokens, modulations.attention)), saving: modulations)
    }
    let x = lastNorm.map { $0(input.tokens, input.conditioning, tap: tap) } ?? input.tokens
    return attention(tap(.modulated, x), saving: nil)
  }

  public func traceUpdate(_ input: TracedUpdate<BranchModulations<Variable>?>) -> Variable? {
    guard let ending, let modulations = input.saved else { return nil }
    return ending(input, modulations)
  }
}
