import Tensor
import TestSupport
import Testing

@Suite struct NormTests {
  @Test func vectorNormsByHand() {
    let x = Tensor([3, -4, 0, 12], shape: [2, 2])
    #expect(x.norm().item == 13)
    #expect(x.norm(order: 1).item == 19)
    #expect(x.norm(order: .infinity).item == 12)
    #expect(x.norm(order: -.infinity).item == 0)
    #expect(x.norm(order: 0).item == 3)
    #expect(x.norm(1).floats == [5, 12])
    #expect(x.norm(0, keepDims: true).shape == [1, 2])
    #expect(abs(x.norm(order: 3).item - 12.2070) < 1e-3)
    #expect(Tensor(zeros: [0]).norm().item == 0)
    #expect(Tensor(zeros: [3, 0]).norm(1).floats == [0, 0, 0])
    #expect(Tensor([1, .nan]).norm().item.isNaN)
  }

  @Test func squaresOutsideTheRangeDoNotMatter() {
    let huge = Tensor(scalars: [3e200, 4e200]), tiny = Tensor(scalars: [3e-200, 4e-200])
    #expect(abs(huge.norm().scalars(as: Double.self)[0] / 5e200 - 1) < 1e-12)
    #expect(abs(tiny.norm().scalars(as: Double.self)[0] / 5e-200 - 1) < 1e-12)
  }

  @Test func matrixNormsByHand() throws {
    let x = Tensor([1, -2, 3, 4], shape: [1, 2, 2])
    #expect(try x.matrixNorm(.one).floats == [6])
    #expect(try x.matrixNorm(.infinity).floats == [7])
    let values = try x.singularValues().floats
    #expect(try x.matrixNorm(.spectral).floats == [values[0]])
    #expect(abs(try x.matrixNorm(.nuclear).floats[0] - values[0] - values[1]) < 1e-6)
    #expect(abs(try x.matrixNorm(.frobenius).floats[0] - Float(30).squareRoot()) < 1e-6)
  }

  @Test func axesAreReducedThroughAnyStrides() {
    var generator = Generator(seed: 1)
    let x = generator.randn([3, 4, 5], dtype: .f64), turned = x.permuted(2, 0, 1)
    expectClose(turned.norm(0, 2), x.norm(1, 2), Tolerance(absolute: 1e-14))
  }
}

@Suite struct PrincipalComponentTests {
  /// Samples on a noisy plane in five dimensions.
  private func samples(_ dtype: DType) -> Tensor {
    var generator = Generator(seed: 12)
    let coordinates = columnsScaled(generator.randn([200, 2], dtype: .f64), Tensor([5, 2]))
    let noise = generator.normal([200, 5], mean: 3, standardDeviation: 0.01, dtype: .f64)
    return sum(product(coordinates, generator.randn([2, 5], dtype: .f64)), noise).converted(to: dtype)
  }

  @Test(arguments: [DType.f32, .f64]) func twoComponentsExplainAPlane(_ dtype: DType) throws {
    let x = samples(dtype), result = try x.principalComponents(2)
    #expect(result.components.shape == [2, 5] && result.mean.shape == [5])
    #expect(result.explainedVarianceRatio.floats.reduce(0, +) > 0.999)
    #expect(result.explainedVariance.floats[0] > result.explainedVariance.floats[1])
    let close = Tolerance(absolute: dtype == .f64 ? 1e-10 : 1e-4)
    expectClose(product(result.components, result.components.transposed()), identity(like: result.components), close)
    // The coordinates are centred, uncorrelated, and vary as the explained variance says.
    let coordinates = result.transform(x)
    #expect(coordinates.shape == [200, 2])
    var covariance = product(coordinates.transposed(), coordinates).scalars(as: Double.self).map { $0 / 199 }
    for place in 0..<2 { covariance[place * 3] -= Double(result.explainedVariance.floats[place]) }
    expectClose(covariance, [0, 0, 0, 0], Tolerance(absolute: 2e-3))
  }

  @Test func signsAreDeterministic() throws {
    let x = samples(.f64), result = try x.principalComponents(2), mirrored = try x[.every(-1)].principalComponents(2)
    expectClose(result.components, mirrored.components, Tolerance(absolute: 1e-10))
    for row in rows(result.components) {
      let smallest = row.min() ?? 0, largest = row.max() ?? 0
      #expect(largest >= -smallest)
    }
  }

  @Test func notANumberIsFound() {
    var values = [Float](repeating: 1, count: 12)
    values[7] = .nan
    let error = #expect(throws: LinearAlgebraError.self) { try Tensor(values, shape: [4, 3]).principalComponents(1) }
    #expect(error?.reason == .notFinite(row: 2, column: 1) && error?.routine == "principalComponents")
  }
}
