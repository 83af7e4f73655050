import Models
import NN
import Tensor

/// What patching a site would do to a scalar, by its gradient.
public struct SiteAttribution: Sendable {
  public let site: Site
  /// The estimated change of the scalar when the site's tensor is replaced by the other run's.
  public let effect: Float
  /// The share of every token, `[batch, tokens]`, or of every head's tokens, `[batch, heads, tokens]`; `[batch]` at the
  /// sites of a conditioning. They add up to `effect`.
  public let shares: Tensor
}

extension DenoiserPass {
  /// Attribution patching: the effect of patching every site by itself, estimated to first order, in two passes and one way
  /// back, where activation patching takes a pass per site. `effect = Σ ∂scalar/∂x · (x_other - x)`; the curvature
  /// between the two runs is what it leaves out.
  ///
  /// Source: Nanda, "Attribution patching" (2023); Syed et al., arXiv 2310.10348 §2.
  ///
  /// - Parameters:
  ///   - scalar: of this pass
  ///   - patterns: which sites
  ///   - other: the pass to take activations from: another prompt, other latents
  /// - Returns: in the order of the model's sites
  /// - Throws: `GradientError`, `HookError`; `RequestError.badLatents` when the passes are of different sizes
  public func attributionPatching(
    of scalar: Scalar, at patterns: [SitePattern], from other: DenoiserPass,
    processors: [any AttentionProcessor] = []
  ) throws -> [SiteAttribution] {
    guard other.latents.shape == latents.shape else {
      throw RequestError.badLatents(found: other.latents.shape, expected: latents.shape)
    }
    let own = SiteReader(patterns)
    let gradient = try self.gradient(of: scalar, at: patterns.map(GradientPlace.sites), processors: processors + [own])
    let patches = try other.tensors(at: patterns, processors: processors)
    let order = Dictionary(
      transformer.sites.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let attributions = try gradient.sites.compactMap { site, slope -> SiteAttribution? in
      guard let here = own.tensors[site], let there = patches[site] else { return nil }
      guard here.shape == there.shape else {
        throw GradientError.badDerivative(place: "\(site) of the other pass", found: there.shape, expected: here.shape)
      }
      let shares = (slope * (there - here)).sum(-1)
      return SiteAttribution(site: site, effect: shares.sum().item, shares: shares)
    }
    return attributions.sorted { order[$0.site, default: .max] < order[$1.site, default: .max] }
  }

  /// The change of a scalar when a site's tensor really is replaced: activation patching, one pass.
  ///
  /// - Parameter patch: of the site's shape
  public func patchingEffect(
    of scalar: Scalar, at site: Site, to patch: Tensor, processors: [any AttentionProcessor] = []
  ) throws -> Float {
    try value(of: scalar, processors: processors + [SiteValue(site, patch)]) - value(of: scalar, processors: processors)
  }
}

/// Puts a given tensor in the place of a site's.
final class SiteValue: AttentionProcessor {
  private let site: Site
  private let value: Tensor

  init(_ site: Site, _ value: Tensor) { (self.site, self.value) = (site, value) }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.rewrite(SitePattern(site), vjp: { gradient, _, _ in Tensor(zeros: gradient.shape) }) { _, _, _ in self.value }
  }
}
