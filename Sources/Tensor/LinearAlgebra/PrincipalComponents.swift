/// The directions in which samples vary most.
///
/// Components are the right singular vectors of the centred samples, each with its sign chosen so that its entry of
/// largest absolute value is positive: the same samples give the same components on every machine, and those that
/// scikit-learn's `PCA(svd_solver: "full")` gives.
public struct PrincipalComponents: Sendable {
  /// Mean of every feature, `[features]`.
  public let mean: Tensor
  /// Orthonormal directions, largest variance first, `[components, features]`.
  public let components: Tensor
  /// Variance of the samples along every component (divided by samples - 1), `[components]`.
  public let explainedVariance: Tensor
  /// Share of every component in the variance of all features, `[components]`.
  public let explainedVarianceRatio: Tensor

  /// Coordinates along the components, `[samples, components]`, of samples `[samples, features]`.
  public func transform(_ x: Tensor) -> Tensor {
    let features = mean.count, x = x.forLAPACK("transform")
    guard x.rank == 2, x.shape[1] == features, x.dtype == mean.dtype else {
      tensorFailure("transform: samples of shape \(x.shape) and \(x.dtype) do not fit \(features) features")
    }
    return x.dtype == .f64 ? project(Double.self, x) : project(Float.self, x)
  }

  private func project<Scalar: LAPACKScalar>(_ type: Scalar.Type, _ x: Tensor) -> Tensor {
    BLAS.prepare()
    let samples = x.shape[0], features = x.shape[1], count = components.shape[0]
    let (centred, rows) = x.scratch(as: Scalar.self)
    let (result, target) = Tensor.scratch([samples, count], as: Scalar.self)
    let means = mean.scalars(as: Scalar.self), directions = components.scalars(as: Scalar.self)
    subtract(means, from: rows, samples, features)
    if samples * count * features > 0 {
      withExtendedLifetime(centred) {
        Scalar.gemm(false, true, samples, count, features, rows, directions, target)
      }
    }
    return result
  }
}

extension Tensor {
  /// Principal component analysis of samples `[samples, features]`.
  ///
  /// - Parameter count: how many components to keep; at most `min(samples, features)`
  public func principalComponents(_ count: Int) throws(LinearAlgebraError) -> PrincipalComponents {
    let x = forLAPACK("principalComponents")
    guard rank == 2, shape[0] >= 2, (1...max(1, min(shape[0], shape[1]))).contains(count) else {
      tensorFailure("principalComponents: \(count) components of samples of shape \(shape)")
    }
    return try x.dtype == .f64 ? components(Double.self, x, count) : components(Float.self, x, count)
  }
}

private func components<Scalar: LAPACKScalar>(
  _ type: Scalar.Type, _ x: Tensor, _ count: Int
) throws(LinearAlgebraError) -> PrincipalComponents {
  let samples = x.shape[0], features = x.shape[1]
  let (centred, rows) = x.scratch(as: Scalar.self)
  if let bad = firstNotFinite(rows, samples, features) {
    throw LinearAlgebraError(routine: "principalComponents", matrix: 0, reason: bad)
  }
  let means = columnMeans(rows, samples, features)
  subtract(means, from: rows, samples, features)
  let parts: Tensor.SingularValueDecomposition
  do { parts = try centred.svd() } catch {
    throw LinearAlgebraError(routine: "principalComponents", matrix: error.matrix, reason: error.reason)
  }
  let variances = parts.singularValues.scalars(as: Scalar.self).map { Double($0) * Double($0) / Double(samples - 1) }
  let total = variances.reduce(0, +), kept = variances.prefix(count)
  return PrincipalComponents(
    mean: Tensor(scalars: means),
    components: withPositivePeaks(parts.vTransposed[..<count], Scalar.self),
    explainedVariance: Tensor(scalars: kept.map { Scalar($0) }),
    explainedVarianceRatio: Tensor(scalars: kept.map { Scalar(total > 0 ? $0 / total : 0) }))
}

/// The mean of every column, summed in `f64`.
private func columnMeans<Scalar: LAPACKScalar>(
  _ rows: UnsafeMutablePointer<Scalar>, _ samples: Int, _ features: Int
) -> [Scalar] {
  var sums = [Double](repeating: 0, count: features)
  for sample in 0..<samples {
    for feature in 0..<features { sums[feature] += Double(rows[sample * features + feature]) }
  }
  return sums.map { Scalar($0 / Double(samples)) }
}

private func subtract<Scalar: LAPACKScalar>(
  _ means: [Scalar], from rows: UnsafeMutablePointer<Scalar>, _ samples: Int, _ features: Int
) {
  parallelFor(samples, grain: max(1, 16384 / max(1, features))) { range in
    for sample in range {
      for feature in 0..<features { rows[sample * features + feature] -= means[feature] }
    }
  }
}

/// Rows, each with the sign that makes its entry of largest absolute value positive.
private func withPositivePeaks<Scalar: LAPACKScalar>(_ rows: Tensor, _ type: Scalar.Type) -> Tensor {
  let columns = rows.shape[1]
  var values = rows.scalars(as: Scalar.self)
  for row in 0..<rows.shape[0] {
    let range = (row * columns)..<((row + 1) * columns)
    guard let peak = range.max(by: { abs(values[$0]) < abs(values[$1]) }), values[peak] < 0 else { continue }
    for index in range { values[index].negate() }
  }
  return Tensor(scalars: values, shape: rows.shape)
}
