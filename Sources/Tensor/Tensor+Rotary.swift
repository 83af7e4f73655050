import CKernels

/// Which elements of a row form the pairs that a rotary embedding turns.
public enum RotaryPairs: Sendable {
  /// Neighbours `(x[2i], x[2i + 1])`: FLUX and CogVideoX (diffusers `apply_rotary_emb`, `use_real_unbind_dim=-1`).
  case interleaved
  /// The two halves `(x[i], x[i + n/2])`: LLaMA (`use_real_unbind_dim=-2`).
  case halves
}

extension Tensor {
  /// Rotary position embedding (arXiv 2104.09864): every pair of a row turned by its token's angle,
  /// `(a, b) → (a cos - b sin, b cos + a sin)`, computed in `f32`.
  ///
  /// The result lies in memory in this tensor's order, so that a transposed view of
  /// `[batch, tokens, heads, headDim]` needs no copy before or after.
  ///
  /// - Parameters:
  ///   - cosine: `[tokens, headDim]`, each angle given for both elements of its pair
  ///   - sine: likewise
  /// - Precondition: this tensor is `[…, tokens, headDim]`, usually `[batch, heads, tokens, headDim]`
  public func applyingRotary(cos cosine: Tensor, sin sine: Tensor, pairs: RotaryPairs = .interleaved) -> Tensor {
    let tables = rotaryTables(cosine, sine)
    let x = withContiguousRows(), y = x.uninitializedInSameOrder(dtype.floatType)
    x.rotate(tables, pairs, into: y)
    return y
  }

  /// `applyingRotary` in place where nobody else sees the memory.
  public mutating func applyRotary(cos cosine: Tensor, sin sine: Tensor, pairs: RotaryPairs = .interleaved) {
    let rowsContiguous = shape.last == 1 || strides.last == 1
    if dtype.isFloatingPoint, rowsContiguous, storage.isWritable, !strides.contains(0),
      isKnownUniquelyReferenced(&storage)
    {
      rotate(rotaryTables(cosine, sine), pairs, into: self)
    } else {
      self = applyingRotary(cos: cosine, sin: sine, pairs: pairs)
    }
  }

  private func rotaryTables(_ cosine: Tensor, _ sine: Tensor) -> (cosine: Tensor, sine: Tensor) {
    guard rank >= 2, shape[rank - 1] % 2 == 0, cosine.shape == Array(shape.suffix(2)), sine.shape == cosine.shape else {
      tensorFailure(
        "applyRotary: shape \(shape) needs an even last axis and tables of its last two axes, "
          + "found \(cosine.shape) and \(sine.shape)")
    }
    return (cosine.converted(to: .f32).aligned(), sine.converted(to: .f32).aligned())
  }

  private func rotate(_ tables: (cosine: Tensor, sine: Tensor), _ pairs: RotaryPairs, into y: Tensor) {
    if rank > 4 {
      for index in 0..<shape[0] { select(0, index).rotate(tables, pairs, into: y.select(0, index)) }
      return
    }
    let missing = 4 - rank
    let axes = [self, y].map { [Int](repeating: 0, count: missing) + $0.strides.dropLast() }
    let sizes = [Int](repeating: 1, count: missing) + shape.dropLast()
    var rows = ck_rows(RowAxes(sizes: sizes, strides: axes), count: shape[rank - 1], self, y)
    withExtendedLifetime((self, y, tables)) {
      ck_rotate(
        Kernels.current.table, &rows, tables.cosine.rawPointer.assumingMemoryBound(to: Float.self),
        tables.sine.rawPointer.assumingMemoryBound(to: Float.self), pairs == .halves)
    }
  }
}
