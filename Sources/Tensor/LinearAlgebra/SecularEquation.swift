/// `1 + ρ Σ wᵢ² / (pᵢ - x) = 0`, whose roots are the eigenvalues of the diagonal matrix of the poles `p` plus `ρ w wᵀ`
/// (LAPACK `laed3`).
struct SecularEquation<Scalar: LAPACKScalar> {
  let count: Int
  /// Ascending.
  let poles: UnsafePointer<Scalar>
  let weights: UnsafePointer<Scalar>
  let rho: Scalar

  /// - Parameters:
  ///   - roots: ascending
  ///   - differences: of all poles from root 0 in column 0, from root 1 in column 1 …, exact to the last bits
  ///   - leading: from one column to the next
  func solve(roots: UnsafeMutablePointer<Scalar>, differences: UnsafeMutablePointer<Scalar>, _ leading: Int) {
    let secular = SecularRoots(count: count, weights: weights, rho: rho)
    parallelFor(count, grain: 16) { range in
      for root in range {
        let column = differences + root * leading
        let (pole, distance) = secular.find(root, shifted: column) { pole in
          for index in 0..<count { column[index] = poles[index] - poles[pole] }
        }
        for index in 0..<count { column[index] -= distance }
        roots[root] = poles[pole] + distance
      }
    }
  }

  /// The weights of which the roots that were found are the exact roots: vectors of these are orthogonal.
  func findWeights(
    differences: UnsafePointer<Scalar>, _ leading: Int, into exact: UnsafeMutablePointer<Scalar>
  ) {
    parallelFor(count, grain: 64) { range in
      for index in range { exact[index] = differences[index * (leading + 1)] }
      for root in 0..<count {
        let column = differences + root * leading, pole = poles[root]
        for index in range.lowerBound..<max(range.lowerBound, min(range.upperBound, root)) {
          exact[index] *= column[index] / (poles[index] - pole)
        }
        for index in max(range.lowerBound, min(range.upperBound, root + 1))..<range.upperBound {
          exact[index] *= column[index] / (poles[index] - pole)
        }
      }
      for index in range {
        let size = max(0, -exact[index]).squareRoot()
        exact[index] = weights[index] < 0 ? -size : size
      }
    }
  }

  /// A vector of length 1.
  ///
  /// - Parameter order: which of the poles, counted from 1, comes first in the vector, second …
  func vector(
    weights: UnsafePointer<Scalar>, differences: UnsafePointer<Scalar>, _ order: UnsafePointer<Int32>,
    into vector: UnsafeMutablePointer<Scalar>
  ) {
    for place in 0..<count {
      let index = Int(order[place]) - 1
      vector[place] = weights[index] / differences[index]
    }
    let inverse = 1 / Scalar.length(vector, count)
    for place in 0..<count { vector[place] *= inverse }
  }
}
