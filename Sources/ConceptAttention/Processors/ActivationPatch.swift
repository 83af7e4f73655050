import NN
import Tensor

/// Puts the activations of another run in the place of this run's: what carries the difference between two prompts?
public final class ActivationPatch: AttentionProcessor {
  public let patterns: [SitePattern]
  private let source: ActivationCache
  /// Tensors replaced so far, and sites reached for which the cache has nothing.
  public private(set) var replaced = 0, missed = 0

  /// - Parameters:
  ///   - source: the run to take from; a tensor is used at its own site, step and branch
  ///   - patterns: which of its sites; all when none is given
  public init(from source: ActivationCache, _ patterns: SitePattern...) {
    self.source = source
    self.patterns = patterns.isEmpty ? source.patterns : patterns
  }

  public func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor {
    guard let patch = source[site.description, step: pass.step, branch: pass.branch] else {
      missed += 1
      return tensor
    }
    replaced += 1
    return patch
  }
}
