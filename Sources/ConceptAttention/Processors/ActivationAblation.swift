import NN
import Tensor

/// Takes chosen channels of chosen tokens out of a site: neurons of an MLP (`mlpHidden`), a gate, a whole residual.
public final class ActivationAblation: AttentionProcessor {
  public enum Replacement {
    case zero
    /// The mean over the tokens of this pass.
    case mean
    /// The mean over other runs: those of a data set.
    case means(ActivationMeans)
  }

  public let pattern: SitePattern
  /// Along the last axis; nil for all.
  public let channels: [Int]?
  /// Positions in the stream; nil for all.
  public let tokens: [Int]?
  public let replacement: Replacement
  public let passes: PassFilter

  public init(
    _ pattern: SitePattern, channels: [Int]? = nil, tokens: [Int]? = nil, by replacement: Replacement = .zero,
    in passes: PassFilter = .every
  ) {
    self.pattern = pattern
    self.channels = channels
    self.tokens = tokens
    self.replacement = replacement
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if channels?.isEmpty == true { throw HookError.refused(processor: name, reason: "no channel is chosen") }
    if tokens?.isEmpty == true { throw HookError.refused(processor: name, reason: "no token is chosen") }
    hooks.rewrite(pattern, in: passes) { tensor, site, _ in self.ablated(tensor, site) }
  }

  private func ablated(_ tensor: Tensor, _ site: Site) -> Tensor {
    let hasTokens = tensor.rank >= 3
    let other: Tensor
    switch replacement {
    case .zero: other = Tensor(0)
    case .mean:
      guard hasTokens else { tensorFailure("\(name) at \(site): there are no tokens to take the mean of") }
      other = tensor.mean(-2, keepDims: true)
    case .means(let means):
      guard let mean = means[site] else { tensorFailure("\(name) at \(site): no mean is known") }
      other = hasTokens ? mean.unsqueezed(-2) : mean  // [dim], or [heads, 1, headDim]
    }
    var chosen: [Tensor] = []
    if let channels { chosen.append(mask(channels, of: tensor.shape[tensor.rank - 1], site, "channel")) }
    if let tokens, hasTokens {
      chosen.append(mask(tokens, of: tensor.shape[tensor.rank - 2], site, "token").unsqueezed(1))
    }
    guard let first = chosen.first else { return other.broadcast(to: tensor.shape).contiguous() }
    return Tensor.where(chosen.dropFirst().reduce(first) { $0.logicalAnd($1) }, other, tensor)
  }

  private func mask(_ places: [Int], of count: Int, _ site: Site, _ what: String) -> Tensor {
    if let outside = places.first(where: { !(0..<count).contains($0) }) {
      tensorFailure("\(name) at \(site): there is no \(what) \(outside), there are \(count)")
    }
    let chosen = Set(places)
    return Tensor(scalars: (0..<count).map { chosen.contains($0) }, shape: [count])
  }
}
