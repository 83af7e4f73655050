/// The roots of `1 / ρ + Σ wᵢ² / (pᵢ - x)`, which rises from each pole `p` to the next: one between any two, and one
/// behind the last.
///
/// Each is found as its distance from the nearest pole, to the last bits, with both poles beside it interpolated (the
/// middle way of Li: "Solving secular equations stably and efficiently", LAPACK working note 89, 1993), inside bounds
/// that are halved where that is slow.
struct SecularRoots<Scalar: LAPACKScalar> {
  private let count: Int
  private let memory: Tensor
  private let squares: UnsafeMutablePointer<Scalar>
  private let inverseRho: Scalar
  /// The last root is at most that far from the last pole.
  private let farthest: Scalar
  private let kernels = Kernels.current

  init(count: Int, weights: UnsafePointer<Scalar>, rho: Scalar) {
    self.count = count
    (memory, squares) = Tensor.scratch([max(1, count)], as: Scalar.self)
    var sum: Scalar = 0
    for index in 0..<count {
      squares[index] = weights[index] * weights[index]
      sum += squares[index]
    }
    (inverseRho, farthest) = (1 / rho, rho * sum)
  }

  /// - Parameters:
  ///   - shifted: `[count]`, the distances of all poles from the one that was last shifted to
  ///   - shift: writes the distances of all poles from one
  /// - Returns: the pole nearest to a root, to which `shifted` refers, and the root's distance from it
  func find(
    _ root: Int, shifted: UnsafeMutablePointer<Scalar>, shift: (Int) -> Void
  ) -> (pole: Int, distance: Scalar) {
    withExtendedLifetime(memory) {
      let isLast = root == count - 1
      var pole = root
      shift(pole)
      guard count > 1 else { return (pole, farthest) }
      let left = min(root, count - 2), gap = isLast ? farthest : shifted[root + 1]
      var low: Scalar = 0, high = gap, x = gap / 2
      var here = value(at: x, shifted, left)
      // What is left of the sums without the two poles is taken to be the same everywhere for the first guess.
      let others = here.value - squares[left] / (shifted[left] - x) - squares[left + 1] / (shifted[left + 1] - x)
      if here.value >= 0 {
        high = x
      } else if isLast {
        low = x
      } else {
        pole += 1
        shift(pole)
        (low, high) = (x - gap, 0)
      }
      let first = shifted[left], second = shifted[left + 1], sum = squares[left] + squares[left + 1]
      x = solve(
        others, others * (first + second) + sum,
        others * first * second + squares[left] * second + squares[left + 1] * first, isLast)
      if !(low < x && x < high) { x = middle(low, high) }

      var slow = 0, before = Scalar.infinity
      while true {
        here = value(at: x, shifted, left)
        if abs(here.value) <= Scalar.ulpOfOne * here.uncertainty { break }
        if here.value < 0 { low = x } else { high = x }
        if !(high - low > Scalar.ulpOfOne * max(abs(low), abs(high))) { break }
        slow = abs(here.value) > before / 8 ? slow + 1 : 0
        before = abs(here.value)
        let first = shifted[left] - x, second = shifted[left + 1] - x
        var step = solve(
          here.value - first * here.slopes.left - second * here.slopes.right,
          (first + second) * here.value - first * second * (here.slopes.left + here.slopes.right),
          first * second * here.value, isLast)
        if !(step * here.value < 0) { step = -here.value / (here.slopes.left + here.slopes.right) }
        let next = x + step
        if next == x { break }
        x = slow < 3 && low < next && next < high ? next : middle(low, high)
        if slow == 3 { slow = 0 }
      }
      return (pole, x)
    }
  }

  private struct Value {
    var value: Scalar
    var slopes: (left: Scalar, right: Scalar)
    /// In units of the last bit.
    var uncertainty: Scalar
  }

  /// - Parameter left: the last of the poles whose sums are apart from the others'
  private func value(at x: Scalar, _ poles: UnsafePointer<Scalar>, _ left: Int) -> Value {
    let split = left + 1
    let lower = Scalar.secularSums(kernels, squares, poles, split, x)
    let upper = Scalar.secularSums(kernels, squares + split, poles + split, count - split, x)
    return Value(
      value: inverseRho + (lower.value + upper.value), slopes: (lower.slope, upper.slope),
      uncertainty: 8 * (abs(lower.value) + abs(upper.value)) + inverseRho + abs(x) * (lower.slope + upper.slope))
  }

  /// The root of `c x² - a x + b` between the poles, or behind both.
  private func solve(_ c: Scalar, _ a: Scalar, _ b: Scalar, _ isBehind: Bool) -> Scalar {
    let root = abs(a * a - 4 * b * c).squareRoot()
    if isBehind { return a >= 0 ? (a + root) / (2 * abs(c)) : 2 * b / (a - root) }
    return a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root)
  }

  /// Between two bounds of one sign, of which one may be 0: by magnitude.
  private func middle(_ low: Scalar, _ high: Scalar) -> Scalar {
    if low == 0 { return high / 16 }
    if high == 0 { return low / 16 }
    let near = min(abs(low), abs(high)), far = max(abs(low), abs(high))
    let size = far > 4 * near ? near.squareRoot() * far.squareRoot() : near + (far - near) / 2
    return low < 0 ? -size : size
  }
}
