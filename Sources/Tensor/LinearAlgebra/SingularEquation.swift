/// `1 + ρ Σ wᵢ² / (pᵢ² - x²) = 0`, whose roots are the singular values of a matrix with the poles `p` on its diagonal,
/// of which the first is 0, and `w` in its first row (LAPACK `lasd3`).
struct SingularEquation<Scalar: LAPACKScalar> {
  let count: Int
  /// Ascending.
  let poles: UnsafePointer<Scalar>
  let weights: UnsafePointer<Scalar>
  /// The sum of the squares of the weights, of which the others are those divided by its root.
  private let rho: Scalar

  /// - Parameter weights: are divided by their length
  init(count: Int, poles: UnsafePointer<Scalar>, weights: UnsafeMutablePointer<Scalar>) {
    let length = Scalar.length(weights, count)
    for index in 0..<count { weights[index] /= length }
    (self.count, self.poles, self.weights, rho) = (count, poles, UnsafePointer(weights), length * length)
  }

  /// - Parameters:
  ///   - roots: ascending
  ///   - differences: of all poles and root 0 in column 0, of all and root 1 in column 1 …, exact to the last bits
  ///   - leading: from one column of the differences to the next
  ///   - sums: of the same, `[count, count]`
  func solve(
    roots: UnsafeMutablePointer<Scalar>, differences: UnsafeMutablePointer<Scalar>, _ leading: Int,
    sums: UnsafeMutablePointer<Scalar>
  ) {
    let secular = SecularRoots(count: count, weights: weights, rho: rho)
    parallelFor(count, grain: 16) { range in
      for root in range {
        let difference = differences + root * leading, sum = sums + root * count
        // The squares of the poles, and of the roots, are those of the secular equation.
        let (near, distance) = secular.find(root, shifted: sum) { pole in
          for index in 0..<count { sum[index] = (poles[index] - poles[pole]) * (poles[index] + poles[pole]) }
        }
        let pole = poles[near], offset = distance / (pole + (pole * pole + distance).squareRoot())
        for index in 0..<count {
          difference[index] = poles[index] - pole - offset
          sum[index] = poles[index] + pole + offset
        }
        roots[root] = pole + offset
      }
    }
  }

  /// The weights of which the roots that were found are the exact roots: vectors of these are orthogonal.
  func findWeights(
    differences: UnsafePointer<Scalar>, _ leading: Int, sums: UnsafePointer<Scalar>,
    into exact: UnsafeMutablePointer<Scalar>
  ) {
    let last = count - 1
    parallelFor(count, grain: 64) { range in
      for index in range { exact[index] = differences[index + last * leading] * sums[index + last * count] }
      for root in 0..<last {
        let difference = differences + root * leading, sum = sums + root * count
        for index in range {
          // A root lies between its pole and the next.
          let pole = poles[root < index ? root : root + 1]
          exact[index] *= difference[index] * sum[index] / (poles[index] - pole) / (poles[index] + pole)
        }
      }
      for index in range {
        let size = abs(exact[index]).squareRoot()
        exact[index] = weights[index] < 0 ? -size : size
      }
    }
  }

  /// The two vectors of a root, of length 1.
  ///
  /// - Parameter order: which of the poles, counted from 1, comes second in the vectors, third …; the first stays
  func vectors(
    weights: UnsafePointer<Scalar>, differences: UnsafePointer<Scalar>, sums: UnsafePointer<Scalar>,
    _ order: UnsafePointer<Int32>, left: UnsafeMutablePointer<Scalar>, right: UnsafeMutablePointer<Scalar>
  ) {
    for place in 0..<count {
      let index = place == 0 ? 0 : Int(order[place]) - 1
      right[place] = weights[index] / differences[index] / sums[index]
      left[place] = place == 0 ? -1 : poles[index] * right[place]
    }
    for vector in [left, right] {
      let inverse = 1 / Scalar.length(vector, count)
      for place in 0..<count { vector[place] *= inverse }
    }
  }
}
