import Tensor

/// A linear map from vectors to what should be told of them, by ridge regression: what a site knows of a token.
///
/// `W = argmin |X W + b - Y|² + ridge |W|²`, solved in `f64` on centred vectors; the intercept is not held down.
///
/// Source: Alain & Bengio, arXiv 1610.01644; classes as one-hot rows.
public struct LinearProbe: Sendable {
  /// `[dim, targets]` and `[targets]`.
  public let weight, intercept: Tensor

  /// - Parameters:
  ///   - x: `[vectors, dim]`
  ///   - targets: `[vectors, targets]`
  ///   - ridge: above 0 where there are fewer vectors than dimensions
  /// - Throws: `LinearAlgebraError` for vectors that lie in a plane, without a ridge
  public init(_ x: Tensor, targets: Tensor, ridge: Double = 1e-3) throws {
    guard x.rank == 2, targets.rank == 2, x.shape[0] == targets.shape[0], x.shape[0] > 0, ridge >= 0 else {
      tensorFailure("LinearProbe: vectors \(x.shape), targets \(targets.shape), ridge \(ridge)")
    }
    let x = x.converted(to: .f64), y = targets.converted(to: .f64), mean = x.mean(0), targetMean = y.mean(0)
    let centred = x - mean, square = Tensor.matmul(centred.transposed(), centred)
    let held = square + Tensor(identity: x.shape[1], dtype: .f64) * Float(ridge)
    let weight = try held.solve(Tensor.matmul(centred.transposed(), y - targetMean))
    self.weight = weight.converted(to: .f32)
    intercept = (targetMean - Tensor.matmul(mean.unsqueezed(0), weight).squeezed(0)).converted(to: .f32)
  }

  /// - Parameters:
  ///   - x: `[vectors, dim]`
  ///   - labels: a class of each, from 0
  public init(_ x: Tensor, labels: [Int], classes: Int, ridge: Double = 1e-3) throws {
    guard labels.allSatisfy((0..<classes).contains) else {
      tensorFailure("LinearProbe: labels \(labels.min() ?? 0) to \(labels.max() ?? 0) of \(classes) classes")
    }
    let targets = Tensor(scalars: labels).oneHot(classes).converted(to: .f32)
    try self.init(x, targets: targets, ridge: ridge)
  }

  /// `[…, targets]` of `[…, dim]`.
  public func scores(_ x: Tensor) -> Tensor { Tensor.matmul(x, weight) + intercept }

  /// The class of the largest score, `[…]`.
  public func predicted(_ x: Tensor) -> Tensor { scores(x).argmax(-1) }

  /// The share of vectors whose class is told right.
  public func accuracy(_ x: Tensor, labels: [Int]) -> Double {
    let found = predicted(x).scalars(as: Int.self)
    return Double(zip(found, labels).count { $0 == $1 }) / Double(labels.count)
  }

  /// The share of the targets' variance that is told, over all of them.
  public func explainedVariance(_ x: Tensor, targets: Tensor) -> Double {
    let rest = (scores(x) - targets).squared().sum(), spread = (targets - targets.mean(0)).squared().sum()
    return 1 - Double((rest / spread).item)
  }
}
