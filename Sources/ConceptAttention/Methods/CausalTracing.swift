import NN
import Tensor

/// Where does what tells two runs apart pass through? Activations of one in place of the other's, site by site and tokens by
/// tokens: how far the output moves from the one run to the other.
///
/// Source: causal tracing, arXiv 2202.05262 §2.
public struct CausalTracing: Sendable {
  public let sites: [Site]
  /// The groups of tokens that were patched together; nil is all of them.
  public let tokens: [[Int]?]
  /// `<patched - target, source - target> / |source - target|²` per picture, `[sites, groups, batch]`: 0 where the patch does
  /// nothing, 1 where it brings the whole difference.
  public let moved: Tensor

  /// The site with the largest mean, and its group.
  public var strongest: (site: Site, tokens: [Int]?)? {
    guard let best = moved.mean(-1).flattened().argmax(0).scalars(as: Int.self).first else { return nil }
    return (sites[best / tokens.count], tokens[best % tokens.count])
  }

  /// Runs both once and the target once more for every site and group.
  ///
  /// - Parameters:
  ///   - tokens: groups that are patched together; all tokens of the stream unless given
  ///   - passes: when to patch
  ///   - source: runs the model on what the activations come from; `[batch, …]`
  ///   - target: on what they are put into
  public static func measure(
    at sites: [Site], tokens: [[Int]?] = [nil], in passes: PassFilter = .every,
    source: ([any AttentionProcessor]) throws -> Tensor, target: ([any AttentionProcessor]) throws -> Tensor
  ) throws -> CausalTracing {
    let cache = ActivationCache(sites.map { SitePattern($0) }, in: passes)
    let theirs = try source([cache]), plain = try target([])
    let difference = (theirs - plain).flattened(from: 1), whole = difference.squared().sum(-1)
    let rows = try sites.map { site in
      stacked(
        try tokens.map { group in
          let patch = ActivationPatch(from: cache, SitePattern(site), in: passes, tokens: group)
          let change = (try target([patch]) - plain).flattened(from: 1)
          return (change * difference).sum(-1) / whole
        })
    }
    return CausalTracing(sites: sites, tokens: tokens, moved: stacked(rows))
  }
}

/// What reaches the output from one site by way of another alone: the sender has another run's activations, everything that is
/// frozen stays as it was, and only what the receiver then has is put into a plain run.
///
/// Source: path patching, arXiv 2211.00593 §3.1.
public enum PathPatching {
  /// - Parameters:
  ///   - sender: the site whose activations are replaced
  ///   - receivers: sites that come later in the model
  ///   - frozen: sites that keep their plain activations while the sender's change travels: the other ways round. The sender and
  ///     the receivers themselves are left out
  ///   - source: an earlier run that has the sender's activations
  ///   - output: runs the model with these processors
  /// - Returns: the output of the last run
  public static func output(
    from sender: Site, by receivers: [Site], freezing frozen: [SitePattern], source: ActivationCache,
    on model: any StreamModel, in passes: PassFilter = .every,
    output: ([any AttentionProcessor]) throws -> Tensor
  ) throws -> Tensor {
    let held = Set(try frozen.flatMap { try model.sites(matching: $0, for: "PathPatching") })
      .subtracting(receivers + [sender]).map { SitePattern($0) }
    let plain = ActivationCache(held, in: passes),
      reached = ActivationCache(receivers.map { SitePattern($0) }, in: passes)
    if !held.isEmpty { _ = try output([plain]) }
    let sent = ActivationPatch(from: source, SitePattern(sender), in: passes)
    let freezing = held.isEmpty ? [] : [patch(plain, held, passes)]
    _ = try output([sent] + freezing + [reached])
    return try output([patch(reached, receivers.map { SitePattern($0) }, passes)])
  }

  private static func patch(
    _ cache: ActivationCache, _ patterns: [SitePattern], _ passes: PassFilter
  ) -> ActivationPatch {
    ActivationPatch(from: cache, patterns, in: passes) { site, pass in
      ActivationCache.Key(site.description, step: pass.step, branch: pass.branch)
    }
  }
}
