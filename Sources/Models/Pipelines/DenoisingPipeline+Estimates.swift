import NN
import Tensor

// What a run takes of memory, before it begins.

extension DenoisingPipeline {
  public func activationEstimate(_ plan: GenerationPlan) -> ActivationEstimate {
    let pictures = plan.prompts.count
    let pixels = 3 * plan.size.frames * plan.size.width * plan.size.height * pictures
    let pass = lookingEstimate(plan.grid, pictures: pictures, plan.maxSequenceLength)
    return ActivationEstimate(
      transformer: pass * Self.passesTogether(plan, activations: pass),
      decoding: codec.decodingBytes(plan.size) + 4 * pixels)
  }

  /// Of one pass.
  func lookingEstimate(_ grid: TokenGrid, pictures: Int, _ textTokens: Int) -> Int {
    4 * pictures * (grid.count + textTokens) * settings.floatsPerToken
  }

  public func encodingEstimate(_ plan: GenerationPlan, phrases: Int) -> Int {
    let texts = 1 + phrases + (plan.guidance.classifierFree == nil ? 0 : 1)
    let kept = 4 * texts * plan.maxSequenceLength * promptWidths.states
    return kept + (textEncoders.map { $0.encodingBytes(texts: texts, tokens: plan.maxSequenceLength) }.max() ?? 0)
  }

  /// How many passes of a step go through the blocks together: all that guidance makes, as far as their activations fit into
  /// half of the memory there is.
  static func passesTogether(_ plan: GenerationPlan, activations: Int) -> Int {
    let most = plan.levels.map { plan.branches(at: $0.step).count }.max() ?? 1
    let room = (Memory.allowance?.bytes ?? .max) / 2
    return max(1, min(most, room / max(1, activations)))
  }
}
