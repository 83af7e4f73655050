import Tensor

/// A table of vectors looked up by index.
///
/// Source: `torch.nn.Embedding`.
public struct Embedding: Sendable {
  /// `[count, dim]`, quantised if the checkpoint has it so: only rows that are looked up are unpacked.
  public var weight: Parameter

  public init(_ count: Int, _ dim: Int, _ w: Weights) { weight = w.matrix("weight", count, dim) }

  /// - Parameter ids: `[...]`, each in `0 ..< count`
  /// - Returns: `[..., dim]` in `f32`
  public func callAsFunction(_ ids: Tensor) -> Tensor {
    let rows = ids.flattened(), dim = weight.shape[1]
    let taken =
      switch weight {
      case .dense(let table): table.take(0, rows).converted(to: .f32)
      case .quantized(let table):
        concatenated(
          rows.converted(to: .i64).scalars(as: Int64.self).map { id in
            table.dequantized(rows: Int(id)..<Int(id) + 1)
          }, axis: 0)
      }
    return taken.reshaped(ids.shape + [dim])
  }
}
