import NN
import Tensor

/// Adds a direction to the tokens at a site: does the picture follow?
public final class Steering: AttentionProcessor {
  public let patterns: [SitePattern]
  /// Broadcast to the site's tensor: `[dim]` for all tokens, `[tokens, dim]` for each its own.
  public let vector: Tensor
  public let strength: Float
  public let steps: Set<Int>?

  /// - Parameter steps: from 0; nil for all
  public init(_ pattern: SitePattern, adding vector: Tensor, strength: Float = 1, steps: Set<Int>? = nil) {
    patterns = [pattern]
    self.vector = vector
    self.strength = strength
    self.steps = steps
  }

  public func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor {
    guard steps?.contains(pass.step) ?? true else { return tensor }
    return tensor + vector * strength
  }
}
