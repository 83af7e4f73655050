// Triangles and diagonals of matrices.

extension Tensor {
  /// The elements on and below a diagonal of the last two axes, zeros above it: `torch.tril`.
  ///
  /// - Parameter diagonal: 0 the main one, positive above it, negative below it
  public func tril(_ diagonal: Int = 0) -> Tensor {
    let (rows, columns) = matrixExtents("tril")
    return keeping(rows) { row in 0..<min(max(row + diagonal + 1, 0), columns) }
  }

  /// The elements on and above a diagonal of the last two axes, zeros below it: `torch.triu`.
  public func triu(_ diagonal: Int = 0) -> Tensor {
    let (rows, columns) = matrixExtents("triu")
    return keeping(rows) { row in min(max(row + diagonal, 0), columns)..<columns }
  }

  /// A diagonal of two axes as the new last axis; a view. `torch.diagonal`.
  ///
  /// - Parameter offset: 0 the main one, positive above it (further along `columns`), negative below it
  public func diagonal(_ offset: Int = 0, rows: Int = -2, columns: Int = -1) -> Tensor {
    let first = normalizedAxis(rows, "diagonal"), second = normalizedAxis(columns, "diagonal")
    guard first != second else { tensorFailure("diagonal: axes \(rows) and \(columns) of shape \(shape) are the same") }
    let skippedRows = max(0, -offset), skippedColumns = max(0, offset)
    let length = max(0, min(shape[first] - skippedRows, shape[second] - skippedColumns))
    let start = length == 0 ? 0 : skippedRows * strides[first] + skippedColumns * strides[second]
    let kept = shape.indices.filter { $0 != first && $0 != second }
    return view(
      shape: kept.map { shape[$0] } + [length], strides: kept.map { strides[$0] } + [strides[first] + strides[second]],
      offset: self.offset + start)
  }

  /// Matrices with the last axis on a diagonal and zeros elsewhere: `torch.diag_embed`.
  ///
  /// - Returns: `[…, n + |offset|, n + |offset|]` for `[…, n]`
  public func diagonalMatrix(_ offset: Int = 0) -> Tensor {
    guard let length = shape.last else { tensorFailure("diagonalMatrix: a scalar has no axis") }
    let size = length + abs(offset)
    let result = Tensor(zeros: shape.dropLast() + [size, size], dtype: dtype)
    result.diagonal(offset).overwrite(with: self)
    return result
  }

  private func matrixExtents(_ operation: String) -> (rows: Int, columns: Int) {
    guard rank >= 2 else { tensorFailure("\(operation): shape \(shape) has no matrices") }
    return (shape[rank - 2], shape[rank - 1])
  }

  /// Zeros, but for the columns that `columns` names for each row.
  private func keeping(_ rows: Int, _ columns: (_ row: Int) -> Range<Int>) -> Tensor {
    let result = Tensor(zeros: shape, dtype: dtype)
    for row in 0..<rows {
      let kept = columns(row)
      let part: [AxisSelection] = [.ellipsis, .index(row), kept.axisSelection]
      result.selecting(part).overwrite(with: selecting(part))
    }
    return result
  }
}
