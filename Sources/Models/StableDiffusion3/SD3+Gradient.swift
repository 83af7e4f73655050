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

extension SD3Projections {
  /// - Parameter x: `[batch, tokens, dim]`
  func trace<Saved>(_ x: Variable, saving saved: Saved) -> TracedProjection<Saved> {
    let q = query(x).splitHeads(heads), k = key(x).splitHeads(heads)
    return TracedProjection(
      query: queryNorm?(q) ?? q, key: keyNorm?(k) ?? k, value: value(x).splitHeads(heads), saved: saved)
  }
}

extension SD3ImageHalf: DifferentiableHalf {
  public struct TracedSaved {
    let gate: Variable
    let mlp: TracedModulation
    var dual: TracedProjection<Variable>?
  }

  public func traceProject(_ input: TracedInput) -> TracedProjection<TracedSaved> {
    let tap = input.tap
    switch norm1 {
    case .zero(let norm):
      let (own, mlp) = norm.modulation(input.conditioning, tap: tap)
      return attention.trace(
        tap(.modulated, norm.norm(input.tokens, own)), saving: TracedSaved(gate: own.gate, mlp: mlp))
    case .zeroX(let norm):
      let (own, mlp, dual) = norm.modulation(input.conditioning, tap: tap)
      var saved = TracedSaved(gate: own.gate, mlp: mlp)
      if let dualAttention {
        let projection = dualAttention.trace(norm.norm(input.tokens, dual), saving: dual.gate)
        saved.dual = TracedProjection(
          query: tap(.dualQuery, projection.query), key: tap(.dualKey, projection.key),
          value: tap(.dualValue, projection.value), saved: dual.gate)
      }
      return attention.trace(tap(.modulated, norm.norm(input.tokens, own)), saving: saved)
    }
  }

  public func traceUpdate(_ input: TracedUpdate<TracedSaved>) -> Variable? {
    let tap = input.tap, mlp = input.saved.mlp
    var x = input.tokens.adding(tap(.attentionProjected, output(input.mergedAttention)), gatedBy: input.saved.gate)
    if let dual = input.saved.dual, let dualAttention, let dualOutput {
      let projected = dualOutput(tap.dualAttention(dual).mergedHeads(dualAttention.heads))
      x = x.adding(tap(.dualProjected, projected), gatedBy: dual.saved)
    }
    x = tap(.residualMiddle, x)
    return feedForward(tap(.mlpInput, norm2(x, mlp)), gate: mlp.gate, residual: x, tap: tap)
  }
}

extension SD3TextHalf: DifferentiableHalf {
  /// nil where the half ends at the attention.
  public func traceProject(
    _ input: TracedInput
  ) -> TracedProjection<(gate: Variable, mlp: TracedModulation)?> {
    let tap = input.tap
    if let ending {
      let (own, mlp) = ending.norm1.modulation(input.conditioning, tap: tap)
      return attention.trace(tap(.modulated, ending.norm1.norm(input.tokens, own)), saving: (own.gate, mlp))
    }
    let x = lastNorm.map { $0(input.tokens, input.conditioning, tap: tap) } ?? input.tokens
    return attention.trace(tap(.modulated, x), saving: nil)
  }

  public func traceUpdate(_ input: TracedUpdate<(gate: Variable, mlp: TracedModulation)?>) -> Variable? {
    guard let ending, let (gate, mlp) = input.saved else { return nil }
    let attended = ending.output(input.mergedAttention, gate: gate, residual: input.tokens, tap: input.tap)
    return ending.feedForward(
      input.tap(.mlpInput, ending.norm2(attended, mlp)), gate: mlp.gate, residual: attended, tap: input.tap)
  }
}
