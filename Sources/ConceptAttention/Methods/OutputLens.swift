import NN
import Tensor

/// What the model would say if it ended after each block: its own output layers on the residual of image tokens, and the clean
/// latents (x̂₀) that this prediction stands for. The logit lens of diffusion transformers.
///
/// `x̂₀ = z - σ v` for rectified flow, `√ᾱ z - √(1 - ᾱ) v` for v-prediction: the run's sampler knows.
public final class OutputLens: AttentionProcessor {
  public struct Entry: Sendable {
    public let block: BlockID
    public let step: Int
    /// What the model predicts (the velocity, the noise), in the shape of the latents.
    public let prediction: Tensor
    /// In the shape of the latents; nil outside of a run with a sampler.
    public let clean: Tensor?
  }

  public let blocks: [BlockPattern]
  public let passes: PassFilter
  /// Of the last run, in the order of steps and blocks. The last block of a step gives the model's output itself.
  public private(set) var entries: [Entry] = []

  public init(after blocks: [BlockPattern] = ["*"], in passes: PassFilter = .conditional) {
    self.blocks = blocks
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    entries = []
    for block in blocks {
      hooks.readOut(block, in: passes) { output, block, pass in
        self.entries.append(
          Entry(block: block, step: pass.step, prediction: output.prediction, clean: output.clean))
      }
    }
  }

  /// The entry after a block at a step; nil when it was not looked at.
  public subscript(_ block: BlockID, step step: Int) -> Entry? {
    entries.first { $0.block == block && $0.step == step }
  }
}
