import Foundation
import Tensor

/// Naive f64 counterparts for property tests: element by element, index by index.
enum Naive {
  /// Values that repeat no pattern a kernel could get right by accident, in -range ... range.
  static func values(_ count: Int, range: Float = 2, seed: UInt64 = 1) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 23) - 1) * range
    }
  }

  static func tensor(_ shape: Int..., range: Float = 2, seed: UInt64 = 1) -> Tensor {
    Tensor(values(shape.reduce(1, *), range: range, seed: seed), shape: shape)
  }

  static func doubles(_ x: Tensor) -> [Double] { x.converted(to: .f64).scalars(as: Double.self) }

  /// All positions of a shape in row-major order.
  static func positions(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { places, extent in places.flatMap { place in (0..<extent).map { place + [$0] } } }
  }

  /// `body` over two operands broadcast to `shape`.
  static func broadcast(_ a: Tensor, _ b: Tensor, to shape: [Int], _ body: (Double, Double) -> Double) -> [Double] {
    let x = doubles(a), y = doubles(b)
    return positions(shape).map { body(x[index($0, a.shape)], y[index($0, b.shape)]) }
  }

  private static func index(_ position: [Int], _ shape: [Int]) -> Int {
    var index = 0
    for (place, extent) in zip(position.suffix(shape.count), shape) {
      index = index * extent + (extent == 1 ? 0 : place)
    }
    return index
  }

  /// Distance from the exact value in units of its last place in f32 (in bf16 and so on for fewer `bits`).
  static func ulps(_ actual: Float, _ exact: Double, bits: Int = 24) -> Double {
    let rounded = Float(exact)
    if actual.isNaN || rounded.isNaN { return actual.isNaN && rounded.isNaN ? 0 : .infinity }
    if actual.isInfinite || rounded.isInfinite { return Double(actual) == Double(rounded) ? 0 : .infinity }
    if Double(actual) == exact { return 0 }
    let exponent = Swift.max(exact == 0 ? -126 : Int(Foundation.logb(exact)), -126)
    return Swift.abs(Double(actual) - exact) / Foundation.pow(2, Double(exponent - bits + 1))
  }
}

/// A tensor whose elements say where they are, as far as their type can.
func counting<Scalar: TensorScalar & FixedWidthInteger>(_ shape: [Int], as type: Scalar.Type) -> Tensor {
  Tensor(scalars: (0..<shape.reduce(1, *)).map { Scalar(truncatingIfNeeded: $0) }, shape: shape)
}
