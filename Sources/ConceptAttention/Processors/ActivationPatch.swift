import NN
import Tensor

/// Puts the activations of another run in the place of this run's: what carries the difference between two prompts?
public final class ActivationPatch: AttentionProcessor {
  public let patterns: [SitePattern]
  public let passes: PassFilter
  /// Positions of tokens; nil for all.
  public let tokens: [Int]?
  private let source: ActivationCache
  private let sourceSite: (Site) -> String
  /// Tensors replaced in the last run, and sites reached for which the cache has nothing.
  public private(set) var replaced = 0, missed = 0

  /// - Parameters:
  ///   - source: the run to take from; a tensor is used at its own step and branch
  ///   - patterns: which sites to patch; all of the cache when none is given
  ///   - passes: when
  ///   - tokens: which tokens to patch, by their positions in the stream; nil for all
  ///   - sourceSite: the site of the cache to take from; the site's own unless given
  public init(
    from source: ActivationCache, _ patterns: SitePattern..., in passes: PassFilter = .every, tokens: [Int]? = nil,
    taking sourceSite: @escaping (Site) -> String = \.description
  ) {
    self.source = source
    self.patterns = patterns.isEmpty ? source.patterns : patterns
    self.passes = passes
    self.tokens = tokens
    self.sourceSite = sourceSite
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if source.tensors.isEmpty { throw HookError.refused(processor: name, reason: "the cache to patch from is empty") }
    if tokens?.isEmpty == true { throw HookError.refused(processor: name, reason: "no token is chosen") }
    (replaced, missed) = (0, 0)
    for pattern in patterns {
      // What took a token's place does not depend on it.
      let vjp: HookPlan.RewriteVJP = { gradient, site, _ in
        self.patched(gradient, Tensor(zeros: gradient.shape), site)
      }
      hooks.rewrite(pattern, in: passes, vjp: vjp) { tensor, site, pass in
        guard let patch = self.source[self.sourceSite(site), step: pass.step, branch: pass.branch] else {
          self.missed += 1
          return tensor
        }
        self.replaced += 1
        return self.patched(tensor, patch, site)
      }
    }
  }

  private func patched(_ tensor: Tensor, _ patch: Tensor, _ site: Site) -> Tensor {
    guard let tokens else { return patch }
    let axis = tensor.rank - 2  // [batch, tokens, dim] or [batch, heads, tokens, headDim]
    var result = tensor
    for token in tokens {
      guard axis > 0, (0..<min(tensor.shape[axis], patch.shape[axis])).contains(token) else {
        tensorFailure("ActivationPatch at \(site): no token \(token) in shapes \(tensor.shape) and \(patch.shape)")
      }
      if axis == 1 {
        result[.all, token] = patch[.all, token]
      } else {
        result[.all, .all, token] = patch[.all, .all, token]
      }
    }
    return result
  }
}
