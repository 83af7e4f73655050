import NN
import Tensor

/// Adds a direction to the tokens at a site: does the picture follow?
public final class Steering: AttentionProcessor {
  public let pattern: SitePattern
  /// Broadcast to the site's tensor: `[dim]` for all tokens, `[tokens, dim]` for each its own.
  public let vector: Tensor
  public let strength: Float
  public let passes: PassFilter

  public init(_ pattern: SitePattern, adding vector: Tensor, strength: Float = 1, in passes: PassFilter = .every) {
    self.pattern = pattern
    self.vector = vector
    self.strength = strength
    self.passes = passes
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.rewrite(pattern, in: passes, vjp: { gradient, _, _ in gradient }) { tensor, _, _ in
      tensor + self.vector * self.strength
    }
  }
}
