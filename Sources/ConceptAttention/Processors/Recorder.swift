import NN
import Tensor

/// Writes down what passed each site: shape and statistics, no tensors. The first look at an unknown model.
public final class Recorder: AttentionProcessor {
  public struct Entry: Sendable, Equatable {
    public let site: Site
    public let step: Int
    public let branch: Pass.Branch
    public let shape: [Int]
    public let mean, standardDeviation, minimum, maximum: Float
  }

  public let patterns: [SitePattern]
  public let passes: PassFilter
  /// Of the last run.
  public private(set) var entries: [Entry] = []

  public init(_ patterns: SitePattern..., in passes: PassFilter = .conditional) {
    self.patterns = patterns
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    entries = []
    for pattern in patterns { hooks.read(pattern, in: passes, write) }
  }

  private func write(_ tensor: Tensor, _ site: Site, _ pass: Pass) {
    entries.append(
      Entry(
        site: site, step: pass.step, branch: pass.branch, shape: tensor.shape, mean: tensor.mean().item,
        standardDeviation: tensor.standardDeviation(unbiased: false).item, minimum: tensor.amin().item,
        maximum: tensor.amax().item))
  }
}
