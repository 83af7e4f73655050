import Glibc

/// Random numbers exactly as `torch.Generator("cpu")` draws them: the same seed and the same calls give the same
/// tensors, so a seed gives the picture that diffusers gives.
///
/// A value type: a copy continues on its own from the state it was copied at.
///
/// ```swift
/// var generator = Generator(seed: 42)
/// let noise = generator.randn([1, 16, 64, 64], dtype: .bf16)
/// ```
///
/// Source: PyTorch 2.13, `CPUGeneratorImpl` and `native/cpu/DistributionTemplates.h` as it runs on an x86 CPU with
/// AVX2. PyTorch's path depends on the number of elements: below 16 every normal value is drawn in double precision,
/// from 16 on blocks of 16 are transformed in the precision of the type (`f32` for `f16` and `bf16`). Versions
/// before 2.13 draw other values for `f16` and `bf16`, and other x86 or ARM paths differ in the last bits of `f32`.
public struct Generator: Sendable, Equatable, RandomNumberGenerator {
  public let seed: UInt64
  var engine: MersenneTwister
  /// The second value of the last pair that was drawn in double precision.
  private var spareNormal: Double?

  /// - Parameter seed: as `manual_seed`; like PyTorch, only its lower 32 bits make a difference to the numbers
  public init(seed: UInt64) {
    self.seed = seed
    engine = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
  }

  /// 64 random bits, for Swift's own `shuffled(using:)` and its kin.
  public mutating func next() -> UInt64 { engine.next64() }

  // MARK: Normal

  /// Standard normal values, `torch.randn`.
  public mutating func randn(_ shape: [Int], dtype: DType = .f32) -> Tensor { normal(shape, dtype: dtype) }

  /// Normal values, `torch.normal`.
  ///
  /// - Parameter dtype: `f64`, `f32`, `f16` or `bf16`
  public mutating func normal(
    _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, dtype: DType = .f32
  ) -> Tensor {
    guard standardDeviation >= 0 else { tensorFailure("normal: standard deviation \(standardDeviation) is negative") }
    let count = Tensor.elementCount(shape, "normal")
    if count < 16 {
      let values = (0..<count).map { _ in mean.addingProduct(nextNormal(), standardDeviation) }
      return Tensor(scalars: values, shape: shape).rounded(to: dtype, "normal")
    }
    switch dtype {
    case .f64: return normalFill(shape, BoxMuller<Double>(mean, standardDeviation)) { $0.nextUniform64() }
    case .f32: return normalFill(shape, BoxMuller<Float>(mean, standardDeviation)) { $0.nextUniform32() }
    case .f16, .bf16: return narrowNormalFill(shape, BoxMuller<Float>(mean, standardDeviation), dtype)
    default: tensorFailure("normal: dtype \(dtype) of shape \(shape) is none of f64, f32, f16, bf16")
    }
  }

  // MARK: Uniform

  /// Values in `0 ..< 1`, `torch.rand`.
  public mutating func rand(_ shape: [Int], dtype: DType = .f32) -> Tensor { uniform(shape, dtype: dtype) }

  /// Values in `low ..< high`, `Tensor.uniform_`.
  ///
  /// - Parameter dtype: `f64`, `f32`, `f16` or `bf16`
  public mutating func uniform(
    _ shape: [Int], low: Double = 0, high: Double = 1, dtype: DType = .f32
  ) -> Tensor {
    guard low <= high, (high - low).isFinite else { tensorFailure("uniform: no range from \(low) to \(high)") }
    let count = Tensor.elementCount(shape, "uniform")
    if dtype == .f64 {
      let values = (0..<count).map { _ in low.addingProduct(engine.nextUniform64(), high - low) }
      return Tensor(scalars: values.map { $0 == high ? low : $0 }, shape: shape)
    }
    var wide = Tensor(uninitialized: shape)
    let target = wide.freshPointer(as: Float.self), start = Float(low), extent = Float(high) - Float(low)
    engine.draw(count) { index, word in
      target[index] = start.addingProduct(MersenneTwister.uniform(word), extent)
    }
    // Rounding may reach the upper end, which does not belong to the range.
    let ends = Tensor(scalars: [low, high]).rounded(to: dtype, "uniform").floats
    let result = wide.rounded(to: dtype, "uniform")
    return result.replacing(ends[1], with: ends[0])
  }

  // MARK: Integers

  /// Whole numbers in `low ..< high`, `torch.randint`.
  ///
  /// - Parameter dtype: an integer type that holds the range
  public mutating func randint(_ shape: [Int], low: Int = 0, high: Int, dtype: DType = .i64) -> Tensor {
    guard low < high else { tensorFailure("randint: no number from \(low) up to but not including \(high)") }
    guard dtype.holds(low), dtype.holds(high - 1) else {
      tensorFailure("randint: \(dtype) does not hold the numbers from \(low) to \(high - 1)")
    }
    // Modulo a range of 2^28 and more would favour small numbers by over 5 %: PyTorch draws 64 bits from there on.
    let range = UInt64(bitPattern: Int64(high &- low)), wide = range >= 1 << 28
    let values = (0..<Tensor.elementCount(shape, "randint")).map { _ in
      low &+ Int(truncatingIfNeeded: (wide ? engine.next64() : UInt64(engine.next())) % range)
    }
    return Tensor(scalars: values, shape: shape).converted(to: dtype)
  }

  /// The numbers `0 ..< count` in random order as `i64`, `torch.randperm`.
  public mutating func randperm(_ count: Int) -> Tensor {
    guard (0..<Int(UInt32.max) / 20).contains(count) else {
      tensorFailure("randperm: \(count) is negative or larger than \(UInt32.max / 20 - 1)")
    }
    var values = Array(0..<count)
    for index in 0..<max(0, count - 1) { values.swapAt(index, index + Int(engine.next()) % (count - index)) }
    return Tensor(scalars: values)
  }
}

extension Generator {
  /// One standard normal value in double precision; every other call hands out the second of a pair.
  private mutating func nextNormal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    let angle = 2 * Double.pi * engine.nextUniform64()
    let radius = (-2 * log1p(-engine.nextUniform64())).squareRoot()
    let (sine, cosine) = Double.sineAndCosine(angle)
    spareNormal = radius * sine
    return radius * cosine
  }

  /// At least 16 values of the type that is computed in. All uniform values are drawn first, then transformed in
  /// blocks of 16; what does not fill a block is replaced, with its predecessors, by a block of new draws.
  private mutating func normalFill<Scalar: BoxMullerScalar>(
    _ shape: [Int], _ transform: BoxMuller<Scalar>, _ uniform: (inout MersenneTwister) -> Scalar
  ) -> Tensor {
    var result = Tensor(uninitialized: shape, dtype: Scalar.dtype)
    let count = result.count, target = result.freshPointer(as: Scalar.self)
    for index in 0..<count { target[index] = uniform(&engine) }
    transform.blocks(target, count / 16)
    if count % 16 != 0 {
      let tail = target + (count - 16)
      for index in 0..<16 { tail[index] = uniform(&engine) }
      transform.blocks(tail, 1)
    }
    return result
  }

  /// At least 16 values of a type narrower than `f32`: as `normalFill`, but no uniform values are drawn for what
  /// does not fill a block.
  private mutating func narrowNormalFill(
    _ shape: [Int], _ transform: BoxMuller<Float>, _ dtype: DType
  ) -> Tensor {
    let count = Tensor.elementCount(shape, "normal"), whole = count / 16 * 16
    var drawn = Tensor(uninitialized: [whole == count ? count : whole + 16])
    let target = drawn.freshPointer(as: Float.self)
    engine.draw(drawn.count) { target[$0] = MersenneTwister.uniform($1) }
    transform.blocks(target, drawn.count / 16)
    let narrow = drawn.converted(to: dtype)
    if whole == count { return narrow.reshaped(shape) }
    var result = Tensor(uninitialized: [count], dtype: dtype)
    result[..<whole] = narrow[..<whole]
    result[(count - 16)...] = narrow[whole...]
    return result.reshaped(shape)
  }
}

extension MersenneTwister {
  /// A value in `0 ..< 1` from 24 bits.
  static func uniform(_ word: UInt32) -> Float { Float(word & 0xFF_FFFF) * 0x1p-24 }

  mutating func nextUniform32() -> Float { Self.uniform(next()) }

  /// A value in `0 ..< 1` from 53 bits.
  mutating func nextUniform64() -> Double { Double(next64() & 0x1F_FFFF_FFFF_FFFF) * 0x1p-53 }
}

extension Tensor {
  /// The number of elements of a shape that a caller gave.
  fileprivate static func elementCount(_ shape: [Int], _ operation: String) -> Int {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { tensorFailure("\(operation): shape \(shape) is negative or too large") }
      count = product
    }
    return count
  }

  fileprivate func rounded(to target: DType, _ operation: String) -> Tensor {
    switch target {
    case .f64, .f32, .f16, .bf16: return converted(to: target)
    default: tensorFailure("\(operation): dtype \(target) of shape \(shape) is none of f64, f32, f16, bf16")
    }
  }

  /// With `new` in every place of `old`.
  fileprivate func replacing(_ old: Float, with new: Float) -> Tensor {
    let values = floats
    guard values.contains(old) else { return self }
    return Tensor(values.map { $0 == old ? new : $0 }, shape: shape).converted(to: dtype)
  }
}

extension DType {
  /// Whether this is an integer type whose range includes `value`.
  fileprivate func holds(_ value: Int) -> Bool {
    switch self {
    case .i64: true
    case .u64: value >= 0
    case .i32: Int32(exactly: value) != nil
    case .u32: UInt32(exactly: value) != nil
    case .i16: Int16(exactly: value) != nil
    case .u16: UInt16(exactly: value) != nil
    case .i8: Int8(exactly: value) != nil
    case .u8: UInt8(exactly: value) != nil
    default: false
    }
  }
}
