import Tensor

/// A further pass of every step, beside those that guidance makes: another prompt, or blocks that processors change in this
/// branch alone.
public struct ExtraBranch: Sendable {
  public let branch: Pass.Branch
  /// In place of the prompt's, `[batch or 1, tokens, dim]` and `[batch or 1, pooledDim]`; nil for the prompt's.
  public var text, pooled: Tensor?
  /// What a guidance-distilled model is told in place of the run's; nil for the run's. Others are told nothing.
  public var distilledGuidance: Float?
  /// Blocks that are passed over, in a family that can (Stable Diffusion 3).
  public var skippedLayers: Set<Int> = []

  public init(_ branch: Pass.Branch, text: Tensor? = nil, pooled: Tensor? = nil) {
    self.branch = branch
    self.text = text
    self.pooled = pooled
  }
}

// What a processor does between passes.
extension HookPlan {
  /// Changes what the sampler steps with, from what guidance has made of it and the outputs of all passes of the step; for a
  /// pass that this asks for itself, with its output among them.
  ///
  /// ```swift
  /// hooks.guide(with: ExtraBranch("calm", text: states)) { guided, outputs, pass in
  ///   guard let plain = outputs[.conditional], let calm = outputs["calm"] else { return guided }
  ///   return guided + (calm - plain) * 2
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - steps: nil for all
  ///   - extra: nil for no further pass
  public mutating func guide(
    steps: Set<Int>? = nil, with extra: ExtraBranch? = nil, _ body: @escaping Guide
  ) {
    add(.guide(extra, body), PassFilter(steps: steps))
  }

  /// Changes the latents after a step, in the layout of the transformer. The pass is the step's conditional one.
  public mutating func rewriteLatents(steps: Set<Int>? = nil, _ body: @escaping RewriteLatents) {
    add(.latents(body), PassFilter(steps: steps))
  }
}

// What a pipeline asks between passes.
extension HookRun {
  /// The passes that processors ask for beside those of guidance, at the step of the current pass.
  public var extraBranches: [ExtraBranch] { entered { if case .guide(let extra?, _) = $0 { extra } else { nil } } }

  /// What the sampler is to step with.
  ///
  /// - Parameters:
  ///   - prediction: what guidance has made of the outputs
  ///   - outputs: of every pass of the step, the extra ones among them
  public func guided(_ prediction: Tensor, outputs: [Pass.Branch: Tensor]) -> Tensor {
    changed(prediction, "guide") { action, tensor, pass in
      if case .guide(_, let body) = action { body(tensor, outputs, pass) } else { nil }
    }
  }

  /// The latents to go on with after a step.
  public func rewritten(latents: Tensor) -> Tensor {
    changed(latents, "rewriteLatents") { action, tensor, pass in
      if case .latents(let body) = action { body(tensor, pass) } else { nil }
    }
  }
}
