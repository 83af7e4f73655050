import COpenBLAS

/// Divide and conquer (Gu and Eisenstat 1995) as in LAPACK's `bdsdc`: a bidiagonal matrix without one row in the middle
/// is two smaller ones, whose singular vectors are merged. Small parts and what need not be merged are left to LAPACK
/// (`lasd0`, `lasd2`); the singular values and vectors of a merge are found in parallel, and so are the merges of one
/// level.
extension LAPACKScalar {
  private static var leaf: Int { 32 }

  /// `B = U S Vᵀ` of a square matrix of one row or more with two diagonals.
  ///
  /// - Parameters:
  ///   - d: the diagonal; afterwards the singular values, descending
  ///   - e: the `n - 1` elements above it; lost
  ///   - u: `U`, `[n, n]`, with `leading` from one column to the next
  ///   - vTransposed: `[n, n]`
  static func bidiagonalDecomposition(
    _ n: Int, _ d: Pointer, _ e: Pointer, u: Pointer, _ leading: Int, vTransposed: Pointer
  ) -> Int32 {
    guard n > leaf else { return bdsdc(n, d, e, u, leading, vTransposed, n) }
    let largest = max(largestMagnitude(d, n), largestMagnitude(e, n - 1)), scale = powerOfTwo(largest)
    if largest == 0 { return bdsdc(n, d, e, u, leading, vTransposed, n) }
    for index in 0..<(n - 1) { e[index] /= scale }
    for index in 0..<n {
      // As in LAPACK: below rounding errors of the largest element nothing is smaller than that.
      let value = d[index] / scale, least = ulpOfOne * 0.45
      d[index] = abs(value) >= least ? value : value < 0 ? -least : least
    }
    var levels = [[BidiagonalPart(first: 0, rows: n, isSquare: true)]]
    while let level = levels.last, level.contains(where: { $0.rows > leaf }) { levels.append(level.flatMap(\.halves)) }
    let (memory, left) = Tensor.scratch([2, n, n], as: Self.self)
    let (places, order) = Tensor.scratch([n], as: Int32.self)
    return withExtendedLifetime((memory, places)) {
      let right = left + n * n
      for index in 0..<n { (left[index * (n + 1)], right[index * (n + 1)]) = (1, 1) }
      for (depth, level) in levels.enumerated().reversed() {
        let info = inParallel(level.count) { index in
          let part = level[index], corner = part.first * (n + 1), own = order + part.first
          let info =
            depth == levels.count - 1
            ? solve(part, d, e, left + corner, right + corner, n)
            : merge(part, d, e, left + corner, right + corner, n, own)
          sortedPlaces(d + part.first, part.rows, into: own)
          return info
        }
        if info != 0 { return info }
      }
      let sorted = (0..<n).reversed().map { d[Int(order[$0]) - 1] * scale }
      for index in 0..<n { d[index] = sorted[index] }
      parallelFor(n, grain: 64) { range in
        for column in range {
          (u + column * leading).update(from: left + (Int(order[n - 1 - column]) - 1) * n, count: n)
          let from = right + column * n, to = vTransposed + column * n
          for row in 0..<n { to[row] = from[Int(order[n - 1 - row]) - 1] }
        }
      }
      return 0
    }
  }

  private static func solve(
    _ part: BidiagonalPart, _ d: Pointer, _ e: Pointer, _ u: Pointer, _ vTransposed: Pointer, _ leading: Int
  ) -> Int32 {
    let (memory, integers) = Tensor.scratch([8 * part.rows], as: Int32.self)
    return withExtendedLifetime(memory) {
      withSpace(part.columns * (3 * part.columns + 2)) { work in
        lasd0(part.rows, part.columns, d + part.first, e + part.first, u, vTransposed, leading, work, integers)
      }
    }
  }

  /// From the singular values and vectors of the halves of a part to its own (`lasd1`).
  ///
  /// - Parameters:
  ///   - d: all rows' values; of the row between the halves its element of the diagonal
  ///   - u: left vectors of the halves, two blocks on the diagonal
  ///   - vTransposed: right vectors of the halves
  ///   - leading: from one column to the next, of both
  ///   - order: for each half which of its values, counted from 1, is the smallest, the next …
  private static func merge(
    _ part: BidiagonalPart, _ d: Pointer, _ e: Pointer, _ u: Pointer, _ vTransposed: Pointer, _ leading: Int,
    _ order: UnsafeMutablePointer<Int32>
  ) -> Int32 {
    let n = part.rows, m = part.columns, upper = part.upper, lower = n - upper - 1
    let (packed, u2) = Tensor.scratch([2 * n + m, m], as: Self.self)
    let (indices, places) = Tensor.scratch([4, n + 4], as: Int32.self)
    return withExtendedLifetime((packed, indices)) {
      withSpace(n + 2 * m) { z in
        let values = d + part.first, vt2 = u2 + n * m, sums = vt2 + m * m, poles = z + m, exact = poles + n
        let kinds = places + n + 4, work = kinds + n + 4
        let alpha = values[upper], beta = e[part.first + upper]
        let scale = powerOfTwo(max(largestMagnitude(values, n), abs(beta)))
        for index in 0..<n { values[index] /= scale }
        defer { for index in 0..<n { values[index] *= scale } }
        var count: Int32 = 0
        let info = lasd2(
          upper, lower, m - n, &count, values, z, alpha / scale, beta / scale, u, vTransposed, leading, poles, u2, vt2,
          work, work + n + 4, places, order, kinds)
        if info != 0 { return info }
        let equation = SingularEquation(count: Int(count), poles: poles, weights: z)
        equation.solve(roots: values, differences: u, leading, sums: sums)
        equation.findWeights(differences: u, leading, sums: sums, into: exact)
        // Behind the row between the halves: vectors of the upper half alone, of the lower alone, of both.
        let (first, second, both) = (Int(kinds[0]), Int(kinds[1]), Int(kinds[2])), dense = 1 + first + second
        if first > 0 { for column in (upper + 1)..<m { vt2[first + column * m] = vt2[column * m] } }
        inStripes(equation.count, space: 2 * equation.count) { columns, mix in
          let k = equation.count, width = columns.count, turned = mix + k * width
          for column in columns {
            let offset = (column - columns.lowerBound) * k
            equation.vectors(
              weights: exact, differences: u + column * leading, sums: sums + column * k, places, left: mix + offset,
              right: turned + offset)
          }
          // U2 and VT2 without their zeros.
          func left(_ row: Int, _ rows: Int, _ from: Int, _ inner: Int, _ beta: Self) {
            gemm(
              CblasColMajor, CblasNoTrans, CblasNoTrans, rows, width, inner, 1, u2 + row + from * n, n, mix + from, k,
              beta, u + row + columns.lowerBound * leading, leading)
          }
          func right(_ column: Int, _ columnCount: Int, _ from: Int, _ inner: Int, _ beta: Self) {
            gemm(
              CblasColMajor, CblasTrans, CblasNoTrans, width, columnCount, inner, 1, turned + from, k,
              vt2 + from + column * m, m, beta, vTransposed + columns.lowerBound + column * leading, leading)
          }
          left(0, upper, 1, first, 0)
          if both > 0 { left(0, upper, dense, both, 1) }
          for column in 0..<width { u[upper + (columns.lowerBound + column) * leading] = mix[column * k] }
          left(upper + 1, lower, 1 + first, second + both, 0)
          right(0, upper + 1, 0, 1 + first, 0)
          if both > 0 { right(0, upper + 1, dense, both, 1) }
          for column in 0..<width { turned[first + column * k] = turned[column * k] }
          right(upper + 1, m - upper - 1, first, 1 + second + both, 0)
        }
        return info
      }
    }
  }
}

/// Rows of a bidiagonal matrix, and the columns in which they are not 0.
private struct BidiagonalPart {
  var first: Int
  var rows: Int
  /// Whether the last row has nothing behind the diagonal.
  var isSquare: Bool

  var columns: Int { isSquare ? rows : rows + 1 }
  /// Rows of the upper half; the lower one begins after the next row.
  var upper: Int { rows / 2 }
  var halves: [BidiagonalPart] {
    [
      BidiagonalPart(first: first, rows: upper, isSquare: false),
      BidiagonalPart(first: first + upper + 1, rows: rows - upper - 1, isSquare: isSquare),
    ]
  }
}
