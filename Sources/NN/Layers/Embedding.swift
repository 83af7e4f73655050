import Tensor

/// A table of vectors looked up by index.
///
/// Source: `torch.nn.Embedding`.
public struct Embedding: Sendable {
  /// `[count, dim]`
  public var weight: Tensor

  public init(_ count: Int, _ dim: Int, _ w: Weights) { weight = w.tensor("weight", count, dim) }

  /// - Parameter ids: `[...]`, each in `0 ..< count`
  /// - Returns: `[..., dim]` in `f32`
  public func callAsFunction(_ ids: Tensor) -> Tensor {
    weight.take(0, ids.flattened()).converted(to: .f32).reshaped(ids.shape + [weight.shape[1]])
  }
}
