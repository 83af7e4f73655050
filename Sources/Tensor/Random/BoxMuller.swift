import Glibc

/// A type in which normal values are computed.
protocol BoxMullerScalar: TensorScalar, BinaryFloatingPoint {
  /// `sqrt(-2 log(1 - uniform))`
  static func boxMullerRadius(_ uniform: Self) -> Self
  static func sineAndCosine(_ angle: Self) -> (sine: Self, cosine: Self)
}

/// Turns uniform into normal values: 16 at a time, the first 8 giving radii, the last 8 angles.
struct BoxMuller<Scalar: BoxMullerScalar> {
  let mean: Scalar
  let standardDeviation: Scalar

  init(_ mean: Double, _ standardDeviation: Double) {
    self.mean = Scalar(mean)
    self.standardDeviation = Scalar(standardDeviation)
  }

  /// Transforms `count` blocks of 16 values in place.
  func blocks(_ values: UnsafeMutablePointer<Scalar>, _ count: Int) {
    parallelFor(count, grain: 128) { range in
      for block in range { transform(values + 16 * block) }
    }
  }

  @inline(__always)
  private func transform(_ block: UnsafeMutablePointer<Scalar>) {
    // Not `2 * Scalar.pi`: Swift rounds pi towards zero.
    let turn = Scalar(2 * Double.pi)
    for lane in 0..<8 {
      let radius = Scalar.boxMullerRadius(block[lane])
      let (sine, cosine) = Scalar.sineAndCosine(turn * block[lane + 8])
      block[lane] = mean.addingProduct(radius * cosine, standardDeviation)
      block[lane + 8] = mean.addingProduct(radius * sine, standardDeviation)
    }
  }
}

extension Double: BoxMullerScalar {
  static func boxMullerRadius(_ uniform: Double) -> Double { (-2 * log(1 - uniform)).squareRoot() }

  static func sineAndCosine(_ angle: Double) -> (sine: Double, cosine: Double) { (sin(angle), cos(angle)) }
}

/// In `f32` PyTorch uses the polynomials of the Cephes library (Stephen Moshier's `logf`, `sinf`, `cosf`) in vectors,
/// with every product that is added to something fused. The last bits of the noise depend on it, so this
/// follows it operation by operation.
extension Float: BoxMullerScalar {
  static func boxMullerRadius(_ uniform: Float) -> Float { (-2 * cephesLog(1 - uniform)).squareRoot() }

  /// Natural logarithm of a positive, normal number.
  private static func cephesLog(_ value: Float) -> Float {
    // value = m * 2^e with m in [1/sqrt(2), sqrt(2)); then the polynomial in m - 1.
    var exponent = Float(Int32(value.bitPattern >> 23) - 126)
    var m = Float(bitPattern: (value.bitPattern & 0x007F_FFFF) | 0x3F00_0000)
    if m < 0.707106781186547524 {
      exponent -= 1
      m = (m - 1) + m
    } else {
      m -= 1
    }
    let square = m * m
    var y: Float = 7.0376836292e-2
    y = (-1.1514610310e-1 as Float).addingProduct(y, m)
    y = (1.1676998740e-1 as Float).addingProduct(y, m)
    y = (-1.2420140846e-1 as Float).addingProduct(y, m)
    y = (1.4249322787e-1 as Float).addingProduct(y, m)
    y = (-1.6668057665e-1 as Float).addingProduct(y, m)
    y = (2.0000714765e-1 as Float).addingProduct(y, m)
    y = (-2.4999993993e-1 as Float).addingProduct(y, m)
    y = (3.3333331174e-1 as Float).addingProduct(y, m)
    y = (exponent * -2.12194440e-4).addingProduct(y * m, square)
    return (m + (y - square * 0.5)).addingProduct(exponent, 0.693359375)
  }

  /// Of a non-negative angle.
  static func sineAndCosine(_ angle: Float) -> (sine: Float, cosine: Float) {
    // The nearest even multiple of pi/4 is taken off in three parts, exactly enough for angles below 8192.
    let octant = (Int32(angle * 1.27323954473516) + 1) & ~1
    let x = angle.addingProduct(Float(octant), -0.78515625)
      .addingProduct(Float(octant), -2.4187564849853515625e-4)
      .addingProduct(Float(octant), -3.77489497744594108e-8)
    let square = x * x
    var y = (-1.388731625493765e-3 as Float).addingProduct(2.443315711809948e-5, square)
    y = (4.166664568298827e-2 as Float).addingProduct(y, square)
    let nearCosine = (-0.5 * square).addingProduct(y * square, square) + 1
    var z = (8.3321608736e-3 as Float).addingProduct(-1.9515295891e-4, square)
    z = (-1.6666654611e-1 as Float).addingProduct(z, square)
    let nearSine = x.addingProduct(z * square, x)
    let (sine, cosine) = octant & 2 == 0 ? (nearSine, nearCosine) : (nearCosine, nearSine)
    return (octant & 4 == 0 ? sine : -sine, (octant - 2) & 4 == 0 ? -cosine : cosine)
  }
}
