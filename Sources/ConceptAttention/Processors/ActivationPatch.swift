import NN
import Tensor

/// Puts the activations of another run in the place of this run's: what carries the difference between two prompts?
public final class ActivationPatch: AttentionProcessor {
  public let patterns: [SitePattern]
  private let source: ActivationCache
  /// Tensors replaced in the last run, and sites reached for which the cache has nothing.
  public private(set) var replaced = 0, missed = 0

  /// - Parameters:
  ///   - source: the run to take from; a tensor is used at its own site, step and branch
  ///   - patterns: which of its sites; all when none is given
  public init(from source: ActivationCache, _ patterns: SitePattern...) {
    self.source = source
    self.patterns = patterns.isEmpty ? source.patterns : patterns
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if source.tensors.isEmpty { throw HookError.refused(processor: name, reason: "the cache to patch from is empty") }
    (replaced, missed) = (0, 0)
    for pattern in patterns {
      hooks.rewrite(pattern) { tensor, site, pass in
        guard let patch = self.source[site.description, step: pass.step, branch: pass.branch] else {
          self.missed += 1
          return tensor
        }
        self.replaced += 1
        return patch
      }
    }
  }
}
