import NN
import Tensor

/// Notices where a run first has numbers that are not finite: the block whose attention outputs they reach, as broken
/// weights or an overflow make them.
public final class FiniteCheck: AttentionProcessor {
  public struct Finding: Sendable, Equatable {
    public let site: Site
    public let step: Int
  }

  public let patterns: [SitePattern]
  /// nil for all.
  public let steps: Set<Int>?
  /// The first of the last run; nil when all was finite.
  public private(set) var finding: Finding?

  /// - Parameters:
  ///   - patterns: the sites to look at; every attention output unless given. A pass over an existing picture runs no further
  ///     than somebody looks, so that looking at all blocks has a price there.
  ///   - steps: to look at; nil for all. With first-block caching, looking has a price in every step.
  public init(_ patterns: [SitePattern] = [SitePattern("*.*.*.attentionOutput")], steps: Set<Int>? = nil) {
    self.patterns = patterns
    self.steps = steps
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    finding = nil
    for pattern in patterns {
      hooks.read(pattern, in: PassFilter(steps: steps, branches: nil)) { [weak self] tensor, site, pass in
        guard let self, finding == nil, !tensor.isAllFinite else { return }
        finding = Finding(site: site, step: pass.step)
      }
    }
  }
}

extension Tensor {
  /// Whether no element is infinite or not a number.
  public var isAllFinite: Bool {
    // One pass suffices for what is finite, unless the sum alone overflows.
    sum().item.isFinite || (self * 0).sum().item == 0
  }
}
