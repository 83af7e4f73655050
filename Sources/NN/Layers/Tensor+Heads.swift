import Tensor

extension Tensor {
  /// `[batch, tokens, heads * headDim]` as `[batch, heads, tokens, headDim]`; a view.
  public func splitHeads(_ heads: Int) -> Tensor { unflattened(-1, heads, -1).transposed(1, 2) }

  /// `[batch, heads, tokens, headDim]` as `[batch, tokens, heads * headDim]`; a view of an attention result.
  public var mergedHeads: Tensor { transposed(1, 2).flattened(from: 2) }
}
