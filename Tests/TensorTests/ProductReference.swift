import Tensor
import Testing

/// What a product should be, in f64, with how far f32 arithmetic may be from it.
struct ProductReference {
  var values: [Double] = []
  /// Per value, the sum of the absolute terms: rounding errors are in proportion to it.
  var magnitudes: [Double] = []

  mutating func append(_ value: Double, magnitude: Double) {
    values.append(value)
    magnitudes.append(magnitude)
  }

  /// Expects every value of `actual` within `8 eps Σ|terms|`, plus what a rounding to bf16 of an operand (in proportion
  /// to the terms) or of the result (in proportion to the value) adds.
  func expect(
    _ actual: Tensor, operandsRounded: Bool = false, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let results = actual.converted(to: .f64).scalars(as: Double.self)
    #expect(results.count == values.count, "\(what)", sourceLocation: sourceLocation)
    let halfUnitOfBF16 = 0x1p-8 * 0.5 * 1.01
    for (index, (result, value)) in zip(results, values).enumerated() {
      var allowed = 8 * 0x1p-24 * magnitudes[index] + 1e-7
      if operandsRounded { allowed += halfUnitOfBF16 * magnitudes[index] }
      if actual.dtype == .bf16 { allowed += 2 * halfUnitOfBF16 * abs(value) }
      guard abs(result - value) <= allowed else {
        Issue.record(
          "\(what) [\(index)]: \(result), expected \(value), allowed \(allowed)", sourceLocation: sourceLocation)
        return
      }
    }
  }
}

extension ProductReference {
  /// `x · weightᵀ` of two rank-2 tensors of any strides, each element mapped by `finish(row, column, sum)`.
  init(_ x: Tensor, _ weight: Tensor, _ finish: (Int, Int, Double) -> Double = { $2 }) {
    let a = x.converted(to: .f64).scalars(as: Double.self), b = weight.converted(to: .f64).scalars(as: Double.self)
    let depth = x.shape[1]
    for row in 0..<x.shape[0] {
      for column in 0..<weight.shape[0] {
        var sum = 0.0, magnitude = 1.0
        for k in 0..<depth {
          let term = a[row * depth + k] * b[column * depth + k]
          sum += term
          magnitude += abs(term)
        }
        append(finish(row, column, sum), magnitude: magnitude)
      }
    }
  }
}

/// Reproducible values in -1 ... 1.
struct TestNumbers {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> Float {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Float(Double(state >> 11) / Double(1 << 53) * 2 - 1)
  }

  mutating func tensor(_ shape: Int..., dtype: DType = .f32) -> Tensor { tensor(shape, dtype: dtype) }

  mutating func tensor(_ shape: [Int], dtype: DType = .f32) -> Tensor {
    let values = (0..<shape.reduce(1, *)).map { _ in next() }
    return Tensor(values, shape: shape).converted(to: dtype)
  }
}

/// Runs `body` with a number of threads, then restores the former.
func withThreads<Result>(_ count: Int, _ body: () -> Result) -> Result {
  let before = Threads.count
  Threads.count = count
  defer { Threads.count = before }
  return body()
}
