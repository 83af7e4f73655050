import Foundation
import Tensor
import TestSupport
import Testing

/// Decompositions and solvers against the equations that define them, computed by naive `f64` loops.
@Suite struct LinearAlgebraTests {
  static let dtypes = [DType.f32, .f64]
  static let shapes = [
    [1, 1], [4, 4], [7, 3], [3, 7], [2, 5, 4], [2, 3, 6, 6], [1, 40, 33], [2, 0, 3], [3, 0],
    // Beyond what is left to LAPACK's drivers: one block of reflections and more, one stripe and more, square, tall
    // enough for QR first, wide.
    [65, 64], [400, 12], [12, 400], [130, 129], [2, 150, 70], [70, 150], [260, 140],
  ]

  static func random(_ shape: [Int], _ dtype: DType, seed: UInt64 = 1) -> Tensor {
    var generator = Generator(seed: seed)
    return generator.randn(shape, dtype: dtype)
  }

  /// Symmetric, with eigenvalues of at least 1.
  static func positiveDefinite(_ lead: [Int], _ n: Int, _ dtype: DType) -> Tensor {
    let x = random(lead + [n, n], .f64)
    var values = product(x, x.transposed()).scalars(as: Double.self)
    for index in values.indices where n > 0 && index % (n * n) / n == index % n { values[index] += 1 }
    return Tensor(scalars: values, shape: lead + [n, n]).converted(to: dtype)
  }

  private func tolerance(_ dtype: DType) -> Tolerance {
    dtype == .f64 ? Tolerance(absolute: 1e-11, relativeToMax: 1e-11) : Tolerance(absolute: 2e-5, relativeToMax: 2e-5)
  }

  @Test(arguments: shapes, dtypes) func singularValuesRebuildTheMatrix(_ shape: [Int], _ dtype: DType) throws {
    let x = Self.random(shape, dtype)
    for full in [false, true] {
      let parts = try x.svd(full: full), k = min(shape[shape.count - 2], shape[shape.count - 1])
      #expect(parts.u.dtype == dtype && parts.singularValues.shape == Array(shape.dropLast(2)) + [k])
      expectClose(product(parts.u.transposed(), parts.u), identity(like: parts.u.transposed()), tolerance(dtype))
      expectClose(
        product(parts.vTransposed, parts.vTransposed.transposed()), identity(like: parts.vTransposed), tolerance(dtype))
      let scaled = columnsScaled(parts.u[.ellipsis, ..<k], parts.singularValues)
      expectClose(product(scaled, parts.vTransposed[.ellipsis, ..<k, .all]), x, tolerance(dtype))
      expectClose(try x.singularValues(), parts.singularValues, tolerance(dtype))
      for row in rows(parts.singularValues) { #expect(row == row.sorted(by: >) && row.allSatisfy { $0 >= 0 }) }
    }
  }

  @Test(arguments: [[0], [1], [5], [2, 17], [3, 2, 6], [65], [2, 129], [263], [300]], dtypes)
  func eigenvectorsAreScaledByTheirValues(_ shape: [Int], _ dtype: DType) throws {
    let n = shape[shape.count - 1], half = Self.random(shape + [n], .f64).scalars(as: Double.self)
    let square = Tensor(scalars: half, shape: shape + [n])
    let x = sum(square, square.transposed()).converted(to: dtype)
    let eigen = try x.symmetricEigen()
    expectClose(product(x, eigen.vectors), columnsScaled(eigen.vectors, eigen.values), tolerance(dtype))
    expectClose(product(eigen.vectors.transposed(), eigen.vectors), identity(like: eigen.vectors), tolerance(dtype))
    for row in rows(eigen.values) { #expect(row == row.sorted()) }
    expectClose(try x.symmetricEigenvalues(), eigen.values, tolerance(dtype))
  }

  @Test(arguments: Kernels.available, dtypes) func everyInstructionSetDecomposes(
    _ kernels: Kernels, _ dtype: DType
  ) throws {
    try Kernels.with(kernels) {
      for n in 129..<138 {
        let x = Self.random([n, n], dtype), symmetric = x + x.transposed(), identity = Tensor(identity: n, dtype: dtype)
        let eigen = try symmetric.symmetricEigen(), parts = try x.svd()
        expectClose(product(symmetric, eigen.vectors), columnsScaled(eigen.vectors, eigen.values), tolerance(dtype))
        expectClose(product(eigen.vectors.transposed(), eigen.vectors), identity, tolerance(dtype))
        expectClose(product(columnsScaled(parts.u, parts.singularValues), parts.vTransposed), x, tolerance(dtype))
        expectClose(product(parts.u.transposed(), parts.u), identity, tolerance(dtype))
      }
    }
  }

  /// A border of weights of every size beside a diagonal: values lie beside its elements, as near as weights are small.
  @Test(arguments: dtypes) func rootsBesidePolesAreFound(_ dtype: DType) throws {
    let n = 300
    for power in [0.0, -3, -5] {
      var arrow = Tensor(zeros: [n, n], dtype: .f64)
      for index in 0..<n {
        let weight = pow(10, power * Double(index * 7 % 11) / 10)
        arrow[index, index] = Tensor(scalars: [Double(index) / Double(n)], shape: [])
        arrow[n - 1, index] = Tensor(scalars: [weight], shape: [])
        arrow[index, n - 1] = Tensor(scalars: [weight], shape: [])
      }
      let x = arrow.converted(to: dtype), eigen = try x.symmetricEigen(), parts = try x.svd()
      let norm = rows(eigen.values)[0].map { abs($0) }.max() ?? 1
      let near = Tolerance(absolute: norm * (dtype == .f64 ? 1e-13 : 1e-5))
      expectClose(product(x, eigen.vectors), columnsScaled(eigen.vectors, eigen.values), near)
      expectClose(
        product(eigen.vectors.transposed(), eigen.vectors), identity(like: eigen.vectors), tolerance(dtype))
      expectClose(product(columnsScaled(parts.u, parts.singularValues), parts.vTransposed), x, near)
      expectClose(eigen.values.absolute().sorted(descending: true), parts.singularValues, near)
    }
  }

  /// Where values are equal, or vectors end within a block, merging leaves out some, most or all.
  @Test(arguments: dtypes) func vectorsOfSpecialMatricesAreOrthonormalToo(_ dtype: DType) throws {
    let n = 270, identity = Tensor(identity: n, dtype: .f64), few = Self.random([n, 5], .f64)
    var block = Tensor(zeros: [n, n], dtype: .f64), cornered = identity
    block[..<140, ..<140] = Self.random([140, 140], .f64)
    cornered[135..., 135...] = Self.random([135, 135], .f64)
    let factors = Tensor((0..<n).map { Float(pow(10, -Double($0) / 20)) })
    let graded = Self.random([n, n], .f64) * factors.converted(to: .f64)
    let beside = Tensor((0..<n * n).map { $0 % n == $0 / n + 1 ? -2 : 0 }, shape: [n, n])
    let chain = identity * 2 + beside.converted(to: .f64)
    let zeros = Tensor(zeros: [n, n], dtype: .f64), ones = Tensor(ones: [n, n], dtype: .f64)
    for matrix in [zeros, identity, ones, product(few, few.transposed()), block, cornered, graded, chain] {
      let general = matrix.converted(to: dtype), parts = try general.svd()
      let largest = max(1, rows(parts.singularValues)[0].max() ?? 0)
      let near = Tolerance(absolute: largest * (dtype == .f64 ? 1e-13 : 1e-5))
      expectClose(product(columnsScaled(parts.u, parts.singularValues), parts.vTransposed), general, near)
      expectClose(product(parts.u.transposed(), parts.u), identity, tolerance(dtype))
      expectClose(product(parts.vTransposed, parts.vTransposed.transposed()), identity, tolerance(dtype))
      expectClose(try general.singularValues(), parts.singularValues, near)

      let x = ((matrix + matrix.transposed()) * 0.5).converted(to: dtype), eigen = try x.symmetricEigen()
      // Of n equal elements the largest value is n times as large as any.
      let norm = max(1, rows(eigen.values)[0].map { abs($0) }.max() ?? 0)
      let close = Tolerance(absolute: norm * (dtype == .f64 ? 1e-13 : 1e-5))
      expectClose(product(x, eigen.vectors), columnsScaled(eigen.vectors, eigen.values), close)
      expectClose(product(eigen.vectors.transposed(), eigen.vectors), identity, tolerance(dtype))
      expectClose(try x.symmetricEigenvalues(), eigen.values, close)
    }
  }

  @Test(arguments: [-110, -40, 40, 110]) func powersOfTwoPassThrough(_ power: Int) throws {
    let scale = Float(sign: .plus, exponent: power, significand: 1)
    for shape in [[90, 70], [70, 90], [200, 80], [500, 12]] {
      let x = Self.random(shape, .f32), plain = try x.svd(), scaled = try (x * scale).svd()
      #expect(scaled.u.floats == plain.u.floats && scaled.vTransposed.floats == plain.vTransposed.floats)
      #expect(scaled.singularValues.floats == (plain.singularValues * scale).floats)
    }
    let half = Self.random([150, 150], .f32), x = half + half.transposed()
    let plain = try x.symmetricEigen(), scaled = try (x * scale).symmetricEigen()
    #expect(scaled.vectors.floats == plain.vectors.floats)
    #expect(scaled.values.floats == (plain.values * scale).floats)
  }

  @Test(arguments: dtypes) func eigenvaluesOfAnyMatrixAreTheRootsOfItsPolynomial(_ dtype: DType) throws {
    // A rotation by 90° and stretching by 2: ±2i. A triangle: its diagonal.
    let matrices = Tensor([0, -2, 2, 0, 3, 7, 0, -5], shape: [2, 2, 2]).converted(to: dtype)
    let values = try matrices.eigenvalues()
    #expect(values.real.shape == [2, 2] && values.real.dtype == dtype)
    expectClose(values.real[0], Tensor([0, 0]), tolerance(dtype))
    expectClose(values.imaginary[0].sorted(), Tensor([-2, 2]), tolerance(dtype))
    expectClose(values.real[1].sorted(), Tensor([-5, 3]), tolerance(dtype))
    expectClose(values.moduli, Tensor([2, 2, 5, 3], shape: [2, 2]), tolerance(dtype))
    #expect(throws: LinearAlgebraError.self) { try Tensor([.nan, 1, 1, 1], shape: [2, 2]).eigenvalues() }
    #expect(try Tensor(zeros: [0, 0]).eigenvalues().real.shape == [0])
  }

  @Test func onlyTheLowerTriangleIsRead() throws {
    let large = Self.random([80, 80], .f32), mirrored = large.tril() + large.tril(-1).transposed()
    let beside = large.tril() + (Tensor(ones: [80, 80]) * 3e38).triu(1)
    for other in [large, beside] {
      let found = try other.symmetricEigen(), wanted = try mirrored.symmetricEigen()
      #expect(found.vectors.floats == wanted.vectors.floats && found.values.floats == wanted.values.floats)
      #expect(try other.symmetricEigenvalues().floats == mirrored.symmetricEigenvalues().floats)
    }
    let symmetric = Tensor([4, 1, 1, 3], shape: [2, 2]), lower = Tensor([4, 9, 1, 3], shape: [2, 2])
    #expect(try lower.symmetricEigenvalues().floats == symmetric.symmetricEigenvalues().floats)
    #expect(try lower.cholesky().floats == symmetric.cholesky().floats)
  }

  @Test(arguments: shapes, dtypes) func qrIsOrthonormalTimesTriangular(_ shape: [Int], _ dtype: DType) throws {
    let x = Self.random(shape, dtype)
    for complete in [false, true] {
      let parts = try x.qr(complete: complete), m = shape[shape.count - 2]
      #expect(parts.q.shape.last == (complete ? m : min(m, shape[shape.count - 1])))
      expectClose(product(parts.q, parts.r), x, tolerance(dtype))
      expectClose(product(parts.q.transposed(), parts.q), identity(like: parts.q.transposed()), tolerance(dtype))
      let columns = shape[shape.count - 1], below = parts.r.converted(to: .f64).scalars(as: Double.self)
      for (index, value) in below.enumerated() where index / columns % parts.r.shape[shape.count - 2] > index % columns
      {
        #expect(value == 0)
      }
    }
  }

  @Test(arguments: [0, 1, 2, 9, 40], dtypes) func choleskyFactorSquaresToTheMatrix(_ n: Int, _ dtype: DType) throws {
    let x = Self.positiveDefinite([2], n, dtype), factor = try x.cholesky()
    expectClose(product(factor, factor.transposed()), x, tolerance(dtype))
    let values = factor.converted(to: .f64).scalars(as: Double.self)
    for index in values.indices where index % n > index / n % n { #expect(values[index] == 0) }
  }

  @Test(arguments: [0, 1, 5, 30], dtypes) func solutionsSolve(_ n: Int, _ dtype: DType) throws {
    let a = Self.positiveDefinite([3, 2], n, dtype), b = Self.random([2, n, 4], dtype, seed: 3)
    let x = try a.solve(b)
    #expect(x.shape == [3, 2, n, 4])
    expectClose(product(a, x), b.broadcast(to: [3, 2, n, 4]), tolerance(dtype))
    let vector = Self.random([n], dtype, seed: 4), y = try a.solve(vector)
    expectClose(product(a, y.unsqueezed(-1)).squeezed(-1), vector.broadcast(to: [3, 2, n]), tolerance(dtype))
    expectClose(product(a, try a.inverse()), identity(like: a), tolerance(dtype))
  }

  @Test(arguments: dtypes) func determinantsMultiply(_ dtype: DType) throws {
    let a = Self.random([2, 5, 5], dtype), b = Self.random([2, 5, 5], dtype, seed: 2)
    let plain = rows(try a.determinant())[0], other = rows(try b.determinant())[0]
    let both = rows(try product(a, b).determinant())[0]
    let close = Tolerance(absolute: 1e-9, relativeToMax: dtype == .f64 ? 1e-12 : 1e-5)
    expectClose(both, [plain[0] * other[0], plain[1] * other[1]], close)
    let (sign, logarithm) = try a.signLogDeterminant()
    let signs = rows(sign)[0], logarithms = rows(logarithm)[0]
    expectClose([signs[0] * exp(logarithms[0]), signs[1] * exp(logarithms[1])], plain, close)
  }

  @Test func determinantsOfSpecialMatrices() throws {
    #expect(try Tensor(identity: 3).determinant().item == 1)
    #expect(try Tensor([0, 1, 1, 0], shape: [2, 2]).determinant().item == -1)
    let singular = Tensor([1, 2, 2, 4], shape: [2, 2])
    #expect(try singular.determinant().item == 0)
    #expect(try singular.signLogDeterminant().sign.item == 0)
    #expect(try singular.signLogDeterminant().logAbsolute.item == -.infinity)
    #expect(try Tensor(zeros: [2, 0, 0]).determinant().floats == [1, 1])
  }

  @Test(arguments: [[8, 3], [3, 8], [5, 5], [2, 9, 4]], dtypes)
  func leastSquaresLeavesAnOrthogonalRest(_ shape: [Int], _ dtype: DType) throws {
    let a = Self.random(shape, dtype), b = Self.random(Array(shape.dropLast()) + [2], dtype, seed: 8)
    let result = try a.leastSquares(b), k = min(shape[shape.count - 2], shape[shape.count - 1])
    let rest = sum(product(a, result.solution), b, -1)
    let projected = product(a.transposed(), rest)
    expectClose(projected, Tensor(zeros: projected.shape), Tolerance(absolute: dtype == .f64 ? 1e-11 : 1e-4))
    #expect(result.rank.scalars(as: Int.self).allSatisfy { $0 == k })
    expectClose(result.singularValues, try a.singularValues(), tolerance(dtype))
    expectClose(result.solution, product(try a.pseudoInverse(), b), Tolerance(absolute: 1e-4, relativeToMax: 1e-4))
  }

  @Test(arguments: dtypes) func rankDeficiencyIsSeen(_ dtype: DType) throws {
    let x = product(Self.random([2, 6, 2], dtype), Self.random([2, 2, 5], dtype, seed: 2)).converted(to: dtype)
    #expect(try x.matrixRank().scalars(as: Int.self) == [2, 2])
    #expect(try x.leastSquares(Self.random([2, 6, 1], dtype)).rank.scalars(as: Int.self) == [2, 2])
    let inverse = try x.pseudoInverse()
    expectClose(product(product(x, inverse), x), x, tolerance(dtype))
    expectClose(product(product(inverse, x), inverse), inverse, tolerance(dtype))
    #expect(try x.matrixRank(relativeCutoff: 2).scalars(as: Int.self) == [0, 0])
    #expect(try Tensor(zeros: [3, 3]).matrixRank().scalars(as: Int.self) == [0])
  }

  @Test func batchesEqualTheirMatricesOneByOne() throws {
    let x = Self.random([5, 6, 4], .f32), whole = try x.svd(), square = Self.positiveDefinite([5], 6, .f32)
    let solved = try square.solve(x), eigen = try square.symmetricEigen()
    for index in 0..<5 {
      let own = try x[index].svd()
      #expect(own.u.floats == whole.u[index].floats && own.vTransposed.floats == whole.vTransposed[index].floats)
      #expect(try square[index].solve(x[index]).floats == solved[index].floats)
      #expect(try square[index].symmetricEigen().vectors.floats == eigen.vectors[index].floats)
    }
  }

  @Test func stridesDoNotMatter() throws {
    let x = Self.random([6, 4, 3], .f32).permuted(2, 0, 1)[.every(-1), .every(2)], packed = x.contiguous()
    #expect(!x.isContiguous)
    #expect(try x.svd().u.floats == packed.svd().u.floats)
    #expect(try x.qr().r.floats == packed.qr().r.floats)
    #expect(try x.pseudoInverse().floats == packed.pseudoInverse().floats)
    let before = x.floats
    _ = try x.svd()
    #expect(x.floats == before)
    let half = Self.random([4, 4], .bf16)
    #expect(try half.singularValues().floats == half.converted(to: .f32).singularValues().floats)
  }

  @Test func failuresNameRoutineMatrixAndReason() {
    var batch = [Float](repeating: 0, count: 12)
    for matrix in 0..<3 { (batch[matrix * 4], batch[matrix * 4 + 3]) = (2, 2) }
    batch[1 * 4 + 3] = -1
    let indefinite = Tensor(batch, shape: [3, 2, 2])
    expectError(.notPositiveDefinite(order: 2), matrix: 1) { _ = try indefinite.cholesky() }
    batch[2 * 4] = 0
    batch[1 * 4 + 3] = 1
    let singular = Tensor(batch, shape: [3, 2, 2])
    expectError(.singular(pivot: 0), matrix: 2) { _ = try singular.inverse() }
    expectError(.singular(pivot: 0), matrix: 2) { _ = try singular.solve(Tensor(ones: [2, 1])) }
    batch[2 * 4 + 1] = .nan
    let bad = Tensor(batch, shape: [3, 2, 2]), place = LinearAlgebraError.Reason.notFinite(row: 0, column: 1)
    expectError(place, matrix: 2) { _ = try bad.svd() }
    expectError(place, matrix: 2) { _ = try bad.singularValues() }
    let tall = Tensor([1, 2, 3, 4, .nan, 6], shape: [3, 2])
    expectError(.notFinite(row: 2, column: 0), matrix: 0) { _ = try tall.svd() }
    expectError(.notFinite(row: 2, column: 0), matrix: 0) { _ = try tall.singularValues() }
    expectError(place, matrix: 2) { _ = try bad.symmetricEigen() }
    expectError(place, matrix: 2) { _ = try bad.qr() }
    expectError(place, matrix: 2) { _ = try bad.cholesky() }
    expectError(place, matrix: 2) { _ = try bad.solve(Tensor(ones: [2, 1])) }
    expectError(place, matrix: 2) { _ = try bad.inverse() }
    expectError(place, matrix: 2) { _ = try bad.determinant() }
    expectError(place, matrix: 2) { _ = try bad.leastSquares(Tensor(ones: [3, 2, 1])) }
    expectError(place, matrix: 2) { _ = try bad.pseudoInverse() }
    expectError(.notFinite(row: 1, column: 0), matrix: 0) {
      _ = try Tensor(identity: 2).solve(Tensor([1, .infinity], shape: [2, 1]))
    }
    let error = #expect(throws: LinearAlgebraError.self) { try indefinite.cholesky() }
    let text = "cholesky: matrix 1: the matrix is not positive definite (leading minor of order 2)"
    #expect(error?.description == text)
  }

  @Test func wrongShapesAreNamed() async {
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = try? Tensor(zeros: [2, 3]).inverse()
    }.map { expectTrapText($0, "inverse: shape [2, 3] has matrices that are not square") }
    await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = try? Tensor(zeros: [3, 3]).solve(Tensor(zeros: [4, 1]))
    }.map { expectTrapText($0, "solve: shapes [3, 3] and [4, 1] do not fit") }
  }

  private func expectError(
    _ reason: LinearAlgebraError.Reason, matrix: Int, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Void
  ) {
    let error = #expect(throws: LinearAlgebraError.self, sourceLocation: sourceLocation) { try body() }
    #expect(error?.reason == reason, sourceLocation: sourceLocation)
    #expect(error?.matrix == matrix, sourceLocation: sourceLocation)
  }
}
