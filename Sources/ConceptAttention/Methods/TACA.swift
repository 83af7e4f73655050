import NN
import Tensor

/// Temperature-adjusted cross-attention: early in a run, image tokens look harder at the prompt. Their logits on text keys are
/// multiplied before the softmax.
///
/// Text is outnumbered by image tokens, whose softmax drowns it; the factor makes up for that while the layout is decided.
///
/// Source: arXiv 2506.07986: 1.2 in the first three steps and in all blocks.
public final class TACA: AttentionProcessor {
  /// When the factor acts.
  public enum Phase: Sendable, Equatable {
    /// In the first steps.
    case steps(Int)
    /// While the noise level is at least this, 0 … 1.
    case noise(Float)

    public func contains(_ pass: Pass) -> Bool {
      switch self {
      case .steps(let count): pass.step < count
      case .noise(let level): pass.sigma >= level
      }
    }
  }

  public let factor: Float
  public let phase: Phase
  public let blocks: BlockPattern
  private var hasActed = false

  public init(_ factor: Float = 1.2, during phase: Phase = .steps(3), in blocks: BlockPattern = "*") {
    self.factor = factor
    self.phase = phase
    self.blocks = blocks
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if case .steps(let count) = phase, count < 1 {
      throw HookError.refused(processor: name, reason: "the first \(count) steps are none")
    }
    hasActed = false
    hooks.attend(blocks) { call, pass, next in
      guard self.phase.contains(pass), call.has(query: .image, key: .text) else { return next(call) }
      self.hasActed = true
      var call = call
      call.scaleLogits(query: .image, key: .text, by: self.factor)
      return next(call)
    }
  }

  public func finish() throws {
    if !hasActed {
      throw HookError.refused(
        processor: name, reason: "\(phase) of '\(blocks)' has no step in which image tokens look at text")
    }
  }
}
