import NN
import Tensor

// What a model predicts at one step: the passes that guidance and processors need, and what is made of them.

/// What stays the same over the steps of a run.
struct DenoisingContext<Positions> {
  let conditional: EncodedPrompts
  /// nil for no classifier-free guidance.
  let unconditional: EncodedPrompts?
  let plan: GenerationPlan
  let positions: Positions
  /// What the transformer is shown beside the noisy latents.
  let image: Tensor?
  let hooks: HookRun?
  let cache: BlockCache?
  /// The most passes that go through the blocks together.
  let together: Int
}

extension DenoisingPipeline {
  /// What the model predicts at one step, of all branches that guidance and processors need.
  func prediction(_ latents: Tensor, at level: NoiseLevel, _ context: DenoisingContext<Positions>) -> Tensor {
    let plan = context.plan, hooks = context.hooks
    func pass(_ branch: Pass.Branch) -> Pass { Pass(level, branch: branch, grid: plan.grid, batch: latents.shape[0]) }
    func input(_ text: EncodedPrompts, skipping layers: Set<Int> = [], guidance: Float? = nil) -> DenoiserInput {
      DenoiserInput(
        latents: latents, image: context.image, text: text, timestep: level.timestep,
        guidance: plan.guidance.distilled.map { guidance ?? $0 }, skippedLayers: layers)
    }
    hooks?.pass = pass(.conditional)
    var inputs: [(branch: Pass.Branch, input: DenoiserInput)] = [(.conditional, input(context.conditional))]
    let guidance = plan.guidance.classifierFree, skip = plan.guidance.skipLayers
    if guidance != nil, let negative = context.unconditional {
      inputs.append((.unconditional, input(negative)))
      if let skip, skip.acts(at: level.step, of: plan.steps) {
        inputs.append((.skippingLayers, input(context.conditional, skipping: skip.layers)))
      }
    }
    for extra in hooks?.extraBranches ?? [] {
      let own = input(
        context.conditional.replaced(by: extra), skipping: extra.skippedLayers, guidance: extra.distilledGuidance)
      inputs.append((extra.branch, own))
    }
    let outputs = predictions(inputs.map { (pass($0.branch), $0.input) }, context)
    guard let conditional = outputs[.conditional] else { tensorFailure("no conditional pass") }
    var result = conditional
    if let guidance, let unconditional = outputs[.unconditional] {
      result = unconditional + (conditional - unconditional) * guidance.scale(at: level, steps: plan.steps)
      if let skip, let weaker = outputs[.skippingLayers] { result = result + (conditional - weaker) * skip.scale }
    }
    return hooks?.guided(result, outputs: outputs) ?? result
  }

  /// The passes of a step, together where memory and the processors allow it, else one after the other.
  private func predictions(
    _ passes: [(pass: Pass, input: DenoiserInput)], _ context: DenoisingContext<Positions>
  ) -> [Pass.Branch: Tensor] {
    let hooks = context.hooks, mayGoTogether = hooks?.mayGoTogether(passes.map(\.pass)) ?? true
    let most = mayGoTogether ? context.together : 1
    var outputs: [Pass.Branch: Tensor] = [:]
    for start in stride(from: 0, to: passes.count, by: most) {
      let group = passes[start..<min(start + most, passes.count)]
      if let first = group.first { hooks?.pass = first.pass }
      let joined = group.map { pass, input in
        ModelPass(input, hooks: group.count == 1 ? hooks : hooks?.beside(pass), branch: pass.branch)
      }
      for (pass, output) in zip(group, predict(joined, context.positions, cache: context.cache)) {
        outputs[pass.pass.branch] = output
      }
    }
    return outputs
  }
}

extension EncodedPrompts {
  /// As a further branch has it.
  fileprivate func replaced(by extra: ExtraBranch) -> EncodedPrompts {
    func own(_ tensor: Tensor?, else plain: Tensor) -> Tensor {
      tensor.map { $0.broadcast(to: [plain.shape[0]] + $0.shape.dropFirst()).contiguous() } ?? plain
    }
    return EncodedPrompts(states: own(extra.text, else: states), pooled: own(extra.pooled, else: pooled))
  }
}
