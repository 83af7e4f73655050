/// `A = Q T Qᵀ` of a symmetric matrix, as LAPACK's `sytrd` finds it, with `T` on three diagonals: each reflection of `Q`
/// takes a product of what is left of `A` with its vector `v`, and changes it to `A - v wᵀ - w vᵀ`.
struct TridiagonalForm<Scalar: LAPACKScalar> {
  private let n: Int
  private let a: UnsafeMutablePointer<Scalar>
  private let update: RankUpdate<Scalar>
  private let memory: Tensor
  /// What every stripe contributes to a product, `[stripes, n]`.
  private let parts: UnsafeMutablePointer<Scalar>
  private let kernels = Kernels.current

  /// - Parameter a: by columns, of which the lower triangle is read, and holds the reflections afterwards: `v` below the
  ///   elements beside the diagonal
  init(_ n: Int, _ a: UnsafeMutablePointer<Scalar>) {
    (self.n, self.a) = (n, a)
    update = RankUpdate(n, n, a, n, isTriangle: true)
    (memory, parts) = Tensor.scratch([update.stripeCount, n], as: Scalar.self)
  }

  /// - Parameters:
  ///   - d: the diagonal of `T`
  ///   - e: the elements beside it
  ///   - tau: of the reflections
  func find(_ d: UnsafeMutablePointer<Scalar>, _ e: UnsafeMutablePointer<Scalar>, _ tau: UnsafeMutablePointer<Scalar>) {
    withExtendedLifetime((memory, update)) {
      for column in 0..<n {
        // Columns of the update are v, w and w, v of each reflection.
        let place = 2 * (column % RankUpdate<Scalar>.together), x = a + column * (n + 1), rest = n - column - 1
        update.bringColumn(column, from: column, upToDate: place)
        d[column] = x[0]
        guard rest > 0 else { return }
        tau[column] = Scalar.reflection(rest, x + 1)
        e[column] = x[1]
        let first = column + 1, v = update.left(place), w = update.left(place + 1)
        v[first] = 1
        (v + first + 1).update(from: x + 2, count: rest - 1)
        multiply(v, from: first, into: w)
        update.correct(w + first, v + first, from: first, first, count: place)
        finish(w + first, v + first, rest, tau[column])
        (update.right(place) + first).update(from: w + first, count: rest)
        (update.right(place + 1) + first).update(from: v + first, count: rest)
        if place + 2 == 2 * RankUpdate<Scalar>.together { update.carryOut(place + 2, from: first) }
      }
    }
  }

  /// `w = A v` of the rows and columns from `first` on, without the update.
  private func multiply(_ v: UnsafeMutablePointer<Scalar>, from first: Int, into w: UnsafeMutablePointer<Scalar>) {
    update.forEachStripe(from: first) { stripe, columns in
      let start = columns.lowerBound
      Scalar.symmetricColumns(
        kernels, a + start * (n + 1), n, rows: n - start, columns: columns.count, v + start,
        parts + stripe * n + start)
    }
    update.addParts(parts, from: first, into: w)
  }

  /// From `A v` to `w`.
  private func finish(
    _ w: UnsafeMutablePointer<Scalar>, _ v: UnsafeMutablePointer<Scalar>, _ count: Int, _ tau: Scalar
  ) {
    var product: Scalar = 0
    for row in 0..<count { product += w[row] * v[row] }
    let back = tau * tau * product / 2
    for row in 0..<count { w[row] = tau * w[row] - back * v[row] }
  }
}
