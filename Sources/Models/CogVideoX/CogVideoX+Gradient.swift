import NN
import Tensor

extension CogVideoXTransformer: DifferentiableModel {
  public func leaves(of input: Input) -> InputTensors { InputTensors(latents: input.latents, text: input.text) }

  public func traceStreams(_ input: Input, _ leaves: InputVariables) -> [TracedEntry] {
    // No prompt goes into the conditioning.
    let conditioning = Variable(conditioning(input))
    let extents = patchExtents.merging(gridExtents(of: input.latents)) { $1 }
    var text = textEmbedder(leaves.text)
    var video = patchEmbedder(
      leaves.latents.rearranged("b (f t) c (h p) (w q) -> b (f h w) (c t p q)", extents))
    if let table = input.positions.text { text = text + table.narrow(0, from: 0, count: input.text.shape[1]) }
    if let table = input.positions.added { video = video + table }
    return [
      TracedEntry(.text, tokens: text, conditioning: conditioning),
      TracedEntry(.image, tokens: video, conditioning: conditioning),
    ]
  }

  public func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? { native }

  public func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: Input) -> Variable {
    output(outputNorm(finalNorm(tokens), conditioning)).rearranged(
      "b (f h w) (c t p q) -> b (f t) c (h p) (w q)",
      patchExtents.merging(gridExtents(of: input.latents)) { $1 })
  }

  private func gridExtents(of latents: Tensor) -> [String: Int] {
    let grid = grid(frames: latents.shape[1], height: latents.shape[3], width: latents.shape[4])
    return ["f": grid.frames, "h": grid.height, "w": grid.width]
  }
}

extension CogVideoXBlock: DifferentiableHalf {
  public func traceProject(_ input: TracedInput) -> TracedProjection<(gate: Variable, mlp: TracedModulation)> {
    func modulation(_ norm: CogVideoXLayerNormZero) -> TracedModulation {
      let own = norm.modulation(input.conditioning)
      return input.processedAs == .text ? own.text : own.video
    }
    let attention = modulation(norm1).visitedAtAttention(by: input.tap)
    let mlp = modulation(norm2).visitedAtMLP(by: input.tap)
    let x = input.tap(.modulated, norm1.norm(input.tokens, attention))
    return TracedProjection(
      query: queryNorm(query(x).splitHeads(heads)), key: keyNorm(key(x).splitHeads(heads)),
      value: value(x).splitHeads(heads), saved: (attention.gate, mlp))
  }

  public func traceUpdate(_ input: TracedUpdate<(gate: Variable, mlp: TracedModulation)>) -> Variable? {
    let mlp = input.saved.mlp
    let attended = output(input.mergedAttention, gate: input.saved.gate, residual: input.tokens, tap: input.tap)
    return feedForward(
      input.tap(.mlpInput, norm2.norm(attended, mlp)), gate: mlp.gate, residual: attended, tap: input.tap)
  }
}
