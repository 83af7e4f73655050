import COpenBLAS

/// Divide and conquer (Cuppen 1981; Gu and Eisenstat 1995) as in LAPACK's `stedc`: a symmetric tridiagonal matrix is
/// torn into small ones, whose eigenvectors are merged in pairs. LAPACK deflates (`laed2`);
/// the roots and vectors of a merge are found in parallel, and so are the merges of one level.
extension LAPACKScalar {
  private static var leaf: Int { 32 }

  /// `T = Z W Zᵀ` of one row or more.
  ///
  /// - Parameters:
  ///   - d: the diagonal; afterwards the eigenvalues, ascending
  ///   - e: the `n - 1` elements beside it; lost
  ///   - vectors: `Z`, `[n, n]`
  static func tridiagonalEigen(_ n: Int, _ d: Pointer, _ e: Pointer, vectors: Pointer) -> Int32 {
    guard n > leaf else { return stedc(n, d, e, vectors, n) }
    // What is small enough to be left out is judged as if the largest element were 1.
    let scale = powerOfTwo(max(largestMagnitude(d, n), largestMagnitude(e, n - 1)))
    for index in 0..<n { d[index] /= scale }
    for index in 0..<(n - 1) { e[index] /= scale }

    // LAPACK wants the first of two neighbours not to be the larger one.
    var bounds = [0, n]
    while n > leaf * (bounds.count - 1) {
      bounds = [0] + zip(bounds, bounds.dropFirst()).flatMap { [($0 + $1) / 2, $1] }
    }
    let parts = bounds.count - 1
    for bound in bounds.dropFirst().dropLast() {
      d[bound - 1] -= abs(e[bound - 1])
      d[bound] -= abs(e[bound - 1])
    }
    let (columns, z) = Tensor.scratch([n, n], as: Self.self)
    let (places, order) = Tensor.scratch([n], as: Int32.self)
    return withExtendedLifetime((columns, places)) {
      var info = inParallel(parts) { part in
        let start = bounds[part], count = bounds[part + 1] - start
        for index in 0..<count { order[start + index] = Int32(index + 1) }
        return stedc(count, d + start, e + start, z + start * (n + 1), n)
      }
      while bounds.count > 2 && info == 0 {
        info = inParallel(bounds.count / 2) { pair in
          let start = bounds[2 * pair], middle = bounds[2 * pair + 1], end = bounds[2 * pair + 2]
          return merge(
            middle - start, end - middle, d + start, e[middle - 1], z + start * (n + 1), n, order + start)
        }
        bounds = stride(from: 0, to: bounds.count, by: 2).map { bounds[$0] }
      }
      if info != 0 { return info }
      let sorted = (0..<n).map { d[Int(order[$0]) - 1] * scale }
      for index in 0..<n { d[index] = sorted[index] }
      parallelFor(n, grain: 64) { range in
        for index in range { (vectors + index * n).update(from: z + (Int(order[index]) - 1) * n, count: n) }
      }
      return 0
    }
  }

  /// From the eigenvalues and vectors of two neighbours to those of both with `rho` between them (`laed1`).
  ///
  /// - Parameters:
  ///   - d: eigenvalues of the first, then of the second
  ///   - z: their vectors, two blocks on the diagonal of a square
  ///   - order: for each of the two which of its values, counted from 1, is the smallest, the next …; afterwards for all
  private static func merge(
    _ first: Int, _ second: Int, _ d: Pointer, _ rho: Self, _ z: Pointer, _ leading: Int,
    _ order: UnsafeMutablePointer<Int32>
  ) -> Int32 {
    let n = first + second
    let (packed, vectors) = Tensor.scratch([n + 1, n], as: Self.self)
    let (indices, rows) = Tensor.scratch([4, n], as: Int32.self)
    return withExtendedLifetime((packed, indices)) {
      withSpace(3 * n) { update in
        let poles = update + n, weights = update + 2 * n, places = rows + n, kinds = rows + 3 * n
        for column in 0..<n { update[column] = z[column * leading + (column < first ? first - 1 : first)] }
        var rho = rho, count: Int32 = 0
        let info = laed2(
          &count, n, first, d, z, leading, order, &rho, update, poles, weights, vectors, rows, places, rows + 2 * n,
          kinds)
        if info != 0 { return info }
        let equation = SecularEquation(count: Int(count), poles: poles, weights: weights, rho: rho)
        equation.solve(roots: d, differences: z, leading)
        equation.findWeights(differences: z, leading, into: update)
        // The vectors of the first alone, of both, of the second alone follow each other.
        let upper = Int(kinds[0] + kinds[1]), lower = Int(kinds[1] + kinds[2])
        inStripes(equation.count, space: equation.count) { columns, mix in
          let k = equation.count, width = columns.count, target = z + columns.lowerBound * leading
          for column in 0..<width {
            equation.vector(weights: update, differences: target + column * leading, places, into: mix + column * k)
          }
          gemm(
            CblasColMajor, CblasNoTrans, CblasNoTrans, first, width, upper, 1, vectors, first, mix, k, 0, target,
            leading)
          gemm(
            CblasColMajor, CblasNoTrans, CblasNoTrans, second, width, lower, 1, vectors + first * upper, second,
            mix + Int(kinds[0]), k, 0, target + first, leading)
        }
        sortedPlaces(d, n, into: order)
        return info
      }
    }
  }
}
