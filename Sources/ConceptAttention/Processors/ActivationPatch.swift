import NN
import Tensor

/// Puts the activations of another run in the place of this run's: what carries the difference between two prompts?
public final class ActivationPatch: AttentionProcessor {
  public let patterns: [SitePattern]
  public let passes: PassFilter
  /// Positions of tokens; nil for all.
  public let tokens: [Int]?
  /// Where their replacements stand in the source.
  public let sourceTokens: [Int]?
  private let source: ActivationCache
  private let sourceKey: (Site, Pass) -> ActivationCache.Key
  /// Tensors replaced in the last run, and sites reached for which the cache has nothing.
  public private(set) var replaced = 0, missed = 0

  /// - Parameters:
  ///   - source: the run to take from; a tensor is used at its own step and branch
  ///   - patterns: which sites to patch; all of the cache when none is given
  ///   - passes: when
  ///   - tokens: which tokens to patch, by their positions in the stream; nil for all
  ///   - sourceTokens: where in the source those that replace them stand, one for each; the same positions unless given
  ///   - sourceSite: the site of the cache to take from; the site's own unless given
  public convenience init(
    from source: ActivationCache, _ patterns: SitePattern..., in passes: PassFilter = .every, tokens: [Int]? = nil,
    sourceTokens: [Int]? = nil, taking sourceSite: @escaping (Site) -> String = \.description
  ) {
    self.init(from: source, patterns, in: passes, tokens: tokens, sourceTokens: sourceTokens) { site, pass in
      ActivationCache.Key(sourceSite(site), step: pass.step, branch: pass.branch)
    }
  }

  /// - Parameter sourceKey: which tensor of the cache goes to a site in a pass: of another site, step or branch
  public init(
    from source: ActivationCache, _ patterns: [SitePattern], in passes: PassFilter = .every, tokens: [Int]? = nil,
    sourceTokens: [Int]? = nil, key sourceKey: @escaping (Site, Pass) -> ActivationCache.Key
  ) {
    self.source = source
    self.patterns = patterns.isEmpty ? source.patterns : patterns
    self.passes = passes
    self.tokens = tokens
    self.sourceTokens = sourceTokens
    self.sourceKey = sourceKey
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if source.tensors.isEmpty { throw HookError.refused(processor: name, reason: "the cache to patch from is empty") }
    if tokens?.isEmpty == true { throw HookError.refused(processor: name, reason: "no token is chosen") }
    if let sourceTokens, sourceTokens.count != tokens?.count {
      throw HookError.refused(
        processor: name, reason: "\(sourceTokens.count) tokens to take for \(tokens?.count ?? 0) to patch")
    }
    (replaced, missed) = (0, 0)
    for pattern in patterns {
      // What took a token's place does not depend on it.
      let vjp: HookPlan.RewriteVJP = { gradient, site, _ in
        self.patched(gradient, Tensor(zeros: gradient.shape), taking: self.tokens, site)
      }
      hooks.rewrite(pattern, in: passes, vjp: vjp) { tensor, site, pass in
        guard let patch = self.source.tensors[self.sourceKey(site, pass)] else {
          self.missed += 1
          return tensor
        }
        self.replaced += 1
        return self.patched(tensor, patch, taking: self.sourceTokens ?? self.tokens, site)
      }
    }
  }

  public func finish() throws {
    if replaced == 0 {
      throw HookError.refused(
        processor: name, reason: "the cache has nothing for the \(missed) tensors that were to be patched")
    }
  }

  private func patched(_ tensor: Tensor, _ patch: Tensor, taking others: [Int]?, _ site: Site) -> Tensor {
    guard let tokens, let others else { return patch }
    let axis = tensor.rank - 2  // [batch, tokens, dim] or [batch, heads, tokens, headDim]
    var result = tensor
    for (token, other) in zip(tokens, others) {
      guard axis > 0, (0..<tensor.shape[axis]).contains(token), (0..<patch.shape[axis]).contains(other) else {
        tensorFailure(
          "ActivationPatch at \(site): no token \(token) in shape \(tensor.shape) or \(other) in \(patch.shape)")
      }
      if axis == 1 {
        result[.all, token] = patch[.all, other]
      } else {
        result[.all, .all, token] = patch[.all, .all, other]
      }
    }
    return result
  }
}
