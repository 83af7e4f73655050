import NN
import Tensor

/// Takes chosen heads out of an attention output: what does the picture lose without them?
public final class HeadAblation: AttentionProcessor {
  public enum Replacement {
    case zero
    /// The head's mean over the tokens of this pass.
    case mean
    /// The head's mean over other runs: those of a data set.
    case means(HeadMeans)
  }

  public let pattern: SitePattern
  public let heads: [Int]
  public let replacement: Replacement

  /// - Parameter pattern: sites per head, such as `double.7.image.attentionOutput`
  public init(_ pattern: SitePattern, heads: Set<Int>, by replacement: Replacement = .zero) {
    self.pattern = pattern
    self.heads = heads.sorted()
    self.replacement = replacement
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if heads.isEmpty { throw HookError.refused(processor: name, reason: "no head is chosen") }
    hooks.rewrite(pattern, vjp: { gradient, _, _ in self.backward(gradient) }) { tensor, site, _ in
      self.ablated(tensor, site)
    }
  }

  /// A mean hands its gradient on in equal parts; the others are constants.
  private func backward(_ gradient: Tensor) -> Tensor {
    var result = gradient
    for head in heads {
      if case .mean = replacement {
        result[.all, head] = gradient[.all, head].mean(1, keepDims: true)
      } else {
        result[.all, head] = Tensor(0)
      }
    }
    return result
  }

  private func ablated(_ tensor: Tensor, _ site: Site) -> Tensor {
    var result = tensor  // [batch, heads, tokens, headDim]
    for head in heads {
      guard tensor.rank == 4, head < tensor.shape[1] else {
        tensorFailure(
          "HeadAblation at \(site): no head \(head) in shape \(tensor.shape) [batch, heads, tokens, headDim]")
      }
      switch replacement {
      case .zero: result[.all, head] = Tensor(0)
      case .mean: result[.all, head] = tensor[.all, head].mean(1, keepDims: true)
      case .means(let means):
        guard let mean = means[site] else { tensorFailure("HeadAblation at \(site): no mean is known") }
        result[.all, head] = mean[head]
      }
    }
    return result
  }
}
