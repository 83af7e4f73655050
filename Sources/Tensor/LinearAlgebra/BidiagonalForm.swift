import COpenBLAS

/// `A = Q B Pᵀ` of a matrix with at least as many rows as columns, as LAPACK's `gebrd` finds it, with `B` on two
/// diagonals: reflections of `Q`, with `v`, and of `P`, with `u`, take turns, and change what is left of `A` to
/// `A - v yᵀ - x uᵀ`.
struct BidiagonalForm<Scalar: LAPACKScalar> {
  typealias Pointer = UnsafeMutablePointer<Scalar>

  private let rows: Int
  private let columns: Int
  private let a: Pointer
  private let leading: Int
  private let update: RankUpdate<Scalar>
  private let memory: Tensor
  /// What every stripe contributes to `A u`, `[stripes, rows]`.
  private let parts: Pointer

  /// - Parameters:
  ///   - a: by columns; holds the reflections afterwards: `v` below the diagonal and `u` behind the elements beside it
  ///   - leading: from one column to the next
  init(_ rows: Int, _ columns: Int, _ a: Pointer, _ leading: Int) {
    (self.rows, self.columns, self.a, self.leading) = (rows, columns, a, leading)
    update = RankUpdate(rows, columns, a, leading, isTriangle: false)
    (memory, parts) = Tensor.scratch([update.stripeCount, rows], as: Scalar.self)
  }

  /// - Parameters:
  ///   - d: the diagonal of `B`
  ///   - e: the elements above it
  ///   - tauQ: of the reflections of `Q`
  ///   - tauP: of those of `P`
  func find(_ d: Pointer, _ e: Pointer, _ tauQ: Pointer, _ tauP: Pointer) {
    withExtendedLifetime((memory, update)) {
      for column in 0..<columns {
        // Columns of the update are v, x and y, u of each pair of reflections.
        let place = 2 * (column % RankUpdate<Scalar>.together), diagonal = a + column * (leading + 1)
        let next = column + 1, rest = columns - next
        update.bringColumn(column, from: column, upToDate: place)
        tauQ[column] = Scalar.reflection(rows - column, diagonal)
        d[column] = diagonal[0]
        guard rest > 0 else { return }
        let v = update.left(place), x = update.left(place + 1), y = update.right(place), u = update.right(place + 1)
        v[column] = 1
        (v + next).update(from: diagonal + 1, count: rows - next)
        multiplyTransposed(v, from: column, into: y)
        update.correctTransposed(y + next, v + column, from: column, next, count: place)
        for index in next..<columns { y[index] *= tauQ[column] }

        for index in next..<columns { u[index] = a[column + index * leading] }
        update.bring(u + next, ofRow: column, from: next, upToDate: place + 1)
        tauP[column] = Scalar.reflection(rest, u + next)
        e[column] = u[next]
        for index in next..<columns { a[column + index * leading] = u[index] }
        u[next] = 1
        multiply(u, from: next, into: x)
        update.correct(x + next, u + next, from: next, next, count: place + 1)
        for index in next..<rows { x[index] *= tauP[column] }
        if place + 2 == 2 * RankUpdate<Scalar>.together { update.carryOut(place + 2, from: next) }
      }
    }
  }

  /// `y = Aᵀ v` of the rows from `first` and the columns behind it, without the update.
  private func multiplyTransposed(_ v: Pointer, from first: Int, into y: Pointer) {
    update.forEachStripe(from: first + 1) { _, stripe in
      Scalar.gemv(
        CblasTrans, rows - first, stripe.count, 1, a + first + stripe.lowerBound * leading, leading, v + first, 1, 0,
        y + stripe.lowerBound)
    }
  }

  /// `x = A u` of the rows and columns from `first` on, without the update.
  private func multiply(_ u: Pointer, from first: Int, into x: Pointer) {
    update.forEachStripe(from: first) { number, stripe in
      Scalar.gemv(
        CblasNoTrans, rows - first, stripe.count, 1, a + first + stripe.lowerBound * leading, leading,
        u + stripe.lowerBound, 1, 0, parts + number * rows + first)
    }
    update.addParts(parts, from: first, into: x)
  }
}
