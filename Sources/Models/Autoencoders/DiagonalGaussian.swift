import Tensor

/// The distribution of latents that pictures or videos stand for: independent normal distributions.
///
/// Source: diffusers `DiagonalGaussianDistribution`.
public struct DiagonalGaussian: Sendable {
  /// In the shape of the latents.
  public var mean, logVariance: Tensor

  public init(mean: Tensor, logVariance: Tensor) {
    self.mean = mean
    self.logVariance = logVariance
  }

  /// One draw: `mean + std * noise`.
  public func sample(_ generator: inout Generator) -> Tensor {
    mean + (logVariance * 0.5).exp() * generator.randn(mean.shape)
  }
}
