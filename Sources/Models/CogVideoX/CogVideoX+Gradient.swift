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
  public func traceProject(_ input: TracedInput) -> TracedProjection<BranchModulations<Variable>> {
    func modulation(_ norm: CogVideoXLayerNormZero) -> Modulation<Variable> {
      let both = norm.modulations(input.conditioning)
      return input.processedAs == .text ? both.text : both.video
    }
    let modulations = BranchModulations(attention: modulation(norm1), mlp: modulation(norm2)).visited(by: input.tap)
    return projections(
      input.tap(.modulated, norm1.norm(input.tokens, modulations.attention)), saving: modulations)
  }

  public func traceUpdate(_ input: TracedUpdate<BranchModulations<Variable>>) -> Variable? {
    ending(input, input.saved)
  }
}
