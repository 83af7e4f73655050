import Foundation
import Tensor
import TestSupport
import Testing

/// One function under test: the tensor's, the exact one in f64, and how far apart they may be.
struct MathCase: Sendable, CustomTestStringConvertible {
  let name: String
  let tensor: @Sendable (Tensor) -> Tensor
  let exact: @Sendable (Double) -> Double
  var ulps = 0.0
  /// Allowed besides, relative to |x|: activations whose tails vanish are exact in absolute terms only.
  var relativeToInput = 0.0
  var testDescription: String { name }

  static let all: [MathCase] = [
    MathCase(name: "exp", tensor: { $0.exp() }, exact: { exp($0) }, ulps: 1),
    MathCase(name: "expm1", tensor: { $0.expMinusOne() }, exact: { expm1($0) }, ulps: 2),
    MathCase(name: "log", tensor: { $0.log() }, exact: { log($0) }, ulps: 1),
    MathCase(name: "log1p", tensor: { $0.logOnePlus() }, exact: { log1p($0) }, ulps: 1),
    MathCase(name: "sin", tensor: { $0.sin() }, exact: { sin($0) }, ulps: 1),
    MathCase(name: "cos", tensor: { $0.cos() }, exact: { cos($0) }, ulps: 1),
    MathCase(name: "tanh", tensor: { $0.tanh() }, exact: { tanh($0) }, ulps: 1.5),
    MathCase(name: "erf", tensor: { $0.erf() }, exact: { erf($0) }, ulps: 1.5),
    MathCase(name: "sqrt", tensor: { $0.squareRoot() }, exact: { sqrt($0) }, ulps: 0.5),
    MathCase(name: "rsqrt", tensor: { $0.reciprocalSquareRoot() }, exact: { 1 / sqrt($0) }, ulps: 1.5),
    MathCase(name: "reciprocal", tensor: { $0.reciprocal() }, exact: { 1 / $0 }, ulps: 0.5),
    MathCase(name: "square", tensor: { $0.squared() }, exact: { $0 * $0 }, ulps: 0.5),
    MathCase(name: "abs", tensor: { $0.absolute() }, exact: { abs($0) }),
    MathCase(name: "negate", tensor: { -$0 }, exact: { -$0 }),
    MathCase(name: "sign", tensor: { $0.sign() }, exact: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }),
    MathCase(name: "floor", tensor: { $0.floor() }, exact: { floor($0) }),
    MathCase(name: "ceil", tensor: { $0.ceil() }, exact: { ceil($0) }),
    MathCase(name: "round", tensor: { $0.rounded() }, exact: { $0.rounded(.toNearestOrEven) }),
    MathCase(name: "relu", tensor: { $0.relu() }, exact: { $0 < 0 ? 0 : $0 }),
    MathCase(name: "softplus", tensor: { $0.softplus() }, exact: { $0 > 20 ? $0 : log1p(exp($0)) }, ulps: 2.5),
    MathCase(
      name: "sigmoid", tensor: { $0.sigmoid() }, exact: { 1 / (1 + exp(-$0)) }, ulps: 2.5, relativeToInput: 1e-37),
    MathCase(name: "silu", tensor: { $0.silu() }, exact: { $0 / (1 + exp(-$0)) }, ulps: 3, relativeToInput: 1e-37),
    MathCase(
      name: "quick GELU", tensor: { $0.quickGELU() }, exact: { $0 / (1 + exp(-1.702 * $0)) }, ulps: 4,
      relativeToInput: 1e-8),
    MathCase(
      name: "GELU tanh", tensor: { $0.gelu(.tanh) },
      exact: { $0 / (1 + exp(-1.5957691216057308 * ($0 + 0.044715 * $0 * $0 * $0))) }, ulps: 5, relativeToInput: 1e-8),
    MathCase(
      name: "GELU erf", tensor: { $0.gelu() }, exact: { 0.5 * $0 * erfc(-0.7071067811865476 * $0) }, ulps: 3,
      relativeToInput: 3e-8),
  ]
}

@Suite struct MathTests {
  /// Every 4099th f32 pattern: all exponents, both signs, denormals, infinities and NaN; and the values people meet.
  static let inputs: [Float] =
    stride(from: 0, to: UInt64(1) << 32, by: 40_99 * 16).map { Float(bitPattern: UInt32($0)) }
    + Naive.values(30_000, range: 10) + Naive.values(5_000, range: 100, seed: 2)
    + [0, -0.0, .infinity, -.infinity, .nan, 0.5, 1.5, 2.5, -0.5, -2.5, 88.8, -104, 8388609, .leastNonzeroMagnitude]

  @Test(arguments: Kernels.available, MathCase.all) func isAccurate(_ kernels: Kernels, _ function: MathCase) {
    let outputs = Kernels.with(kernels) { function.tensor(Tensor(Self.inputs)).floats }
    var worst = (excess: 0.0, x: Float(0), y: Float(0))
    for (x, y) in zip(Self.inputs, outputs) {
      let exact = function.exact(Double(x))
      let slack = function.relativeToInput * abs(Double(x))
      if slack > 0, abs(Double(y) - exact) <= slack { continue }
      let ulps = Naive.ulps(y, exact) - function.ulps
      if !(ulps <= worst.excess) { worst = (ulps, x, y) }
    }
    #expect(worst.excess <= 0, "\(function.name)(\(worst.x)) = \(worst.y), \(worst.excess) ulp too far")
  }

  @Test(arguments: Kernels.available) func doublesAreComputedInDouble(_ kernels: Kernels) {
    let values = Naive.values(100, range: 5).map(Double.init)
    Kernels.with(kernels) {
      for function in MathCase.all where !["sqrt", "rsqrt", "log", "log1p"].contains(function.name) {
        let outputs = function.tensor(Tensor(scalars: values)).scalars(as: Double.self)
        expectClose(
          outputs, values.map(function.exact), Tolerance(absolute: 1e-14, relativeToMax: 1e-14), function.name)
      }
    }
  }

  @Test(arguments: Kernels.available) func everySizeAndLayoutGivesTheSame(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for count in [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 255, 256, 257, 1023, 1025] {
        let values = Naive.values(count * 3), x = Tensor(values, shape: [count, 3])
        let expected = values.map { Float($0) * Float($0) }
        #expect(x.squared().floats == expected, "\(count)")
        #expect(x.transposed().squared().transposed().floats == expected, "transposed \(count)")
        #expect(x.flipped(0, 1).squared().flipped(0, 1).floats == expected, "flipped \(count)")
        #expect(x[.every(2), 1].squared().floats == x.squared()[.every(2), 1].floats, "every second \(count)")
      }
    }
  }

  @Test func narrowFloatsAreRoundedOnceFromF32() {
    let x = Tensor(Naive.values(500, range: 3)).converted(to: .bf16)
    #expect(x.gelu(.tanh).dtype == .bf16)
    #expect(x.gelu(.tanh).floats == x.converted(to: .f32).gelu(.tanh).converted(to: .bf16).floats)
  }

  @Test func integersGiveFloatsWhereValuesAreFractional() {
    let x = Tensor(scalars: [Int32(-3), 0, 4])
    #expect(x.absolute().dtype == .i32 && x.absolute().floats == [3, 0, 4])
    #expect(x.sigmoid().dtype == .f32)
    #expect((-x).scalars(as: Int32.self) == [3, 0, -4])
    #expect(x.squared().scalars(as: Int32.self) == [9, 0, 16])
    #expect(x.rounded().dtype == .i32)
  }
}
