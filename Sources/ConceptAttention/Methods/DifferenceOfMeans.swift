import NN
import Tensor

/// The direction from what is at a site without something to what is there with it: the difference of two means, which
/// `Steering` adds.
///
/// Source: contrastive activation addition, arXiv 2312.06681 §3.
public struct DifferenceOfMeans: Sendable {
  /// Where it was measured.
  public let site: String
  /// With less without, `[dim]`, or `[heads, headDim]`.
  public let direction: Tensor

  /// - Parameters:
  ///   - positive: means of runs with the thing
  ///   - negative: means of runs without it
  ///   - length: to which the direction is scaled; nil for the difference itself
  /// - Throws: `HookError.neverFired` for a site that one of them has not read
  public init(
    at site: String, with positive: ActivationMeans, without negative: ActivationMeans, length: Float? = nil
  ) throws {
    guard let a = positive[site], let b = negative[site], a.shape == b.shape else {
      throw HookError.neverFired(what: "'\(site)'", processor: "DifferenceOfMeans")
    }
    self.site = site
    let difference = a - b
    direction = length.map { difference * ($0 / difference.squared().sum().squareRoot().item) } ?? difference
  }

  /// How far vectors lie along the direction, in its lengths, `[…]` of `[…, dim]`.
  public func projections(_ x: Tensor) -> Tensor {
    (x * direction).sum(-1) / direction.squared().sum().item
  }

  /// Adds it to every token of the site.
  public func steering(strength: Float = 1, in passes: PassFilter = .every) -> Steering {
    // [heads, headDim] broadcasts over tokens as [heads, 1, headDim].
    Steering(
      SitePattern(site), adding: direction.rank == 2 ? direction.unsqueezed(1) : direction, strength: strength,
      in: passes)
  }
}
