import Foundation
import Tensor
import TestSupport
import Testing

/// Ways back through operations against their derivatives in `f64`, on every instruction set of this machine.
@Suite struct GradientTests {
  static let tolerance = Tolerance(absolute: 1e-6, relativeToMax: 2e-6)

  @Test(arguments: Kernels.available, [Activation.identity, .geluTanh, .gelu, .silu, .quickGELU])
  func activationSlopesAreTheDifferences(_ kernels: Kernels, _ activation: Activation) {
    func exact(_ x: Double) -> Double {
      switch activation {
      case .identity: x
      case .geluTanh: x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
      case .gelu: x / 2 * (1 + erf(x / 2.0.squareRoot()))
      case .silu: x / (1 + exp(-x))
      case .quickGELU: x / (1 + exp(-1.702 * x))
      }
    }
    for count in [0, 1, 7, 15, 16, 17, 100, 40_001] {
      let x = Naive.tensor(count, range: 9), dy = Naive.tensor(count, seed: 2)
      let expected = zip(Naive.doubles(x), Naive.doubles(dy)).map { x, dy in
        dy * (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5
      }
      Kernels.with(kernels) {
        let dx = x.activatedVJP(dy, by: activation)
        expectClose(Naive.doubles(dx), expected, Tolerance(absolute: 6e-6), "\(activation), \(count) values")
      }
    }
  }

  @Test(arguments: Kernels.available) func slopesFarOutAreZeroAndOne(_ kernels: Kernels) {
    let x = Tensor([-.infinity, -1e30, -200, 200, 1e30, .infinity, .nan])
    Kernels.with(kernels) {
      for activation in [Activation.geluTanh, .gelu, .silu, .quickGELU] {
        let slopes = x.activatedVJP(Tensor(ones: [7]), by: activation).floats
        #expect(slopes[0..<3].allSatisfy { abs($0) < 1e-6 }, "\(activation): \(slopes)")
        #expect(slopes[3..<6].allSatisfy { abs($0 - 1) < 1e-6 }, "\(activation): \(slopes)")
        #expect(slopes[6].isNaN)
      }
    }
  }

  @Test(arguments: Kernels.available, [1, 3, 4, 15, 16, 17, 33, 1025, 3072])
  func normsGoBack(_ kernels: Kernels, _ width: Int) {
    let x = Naive.tensor(2, 5, width), dy = Naive.tensor(2, 5, width, seed: 2)
    let weight = Naive.tensor(width, seed: 3), scale = Naive.tensor(2, 1, width, seed: 4)
    for isWeighted in [true, false] {
      let w = isWeighted ? weight : nil, s = isWeighted ? scale : nil
      Kernels.with(kernels) {
        expectClose(
          x.layerNormVJP(dy, weight: w, scale: s, epsilon: 1e-3), normReference(x, dy, w, s, rms: false),
          Self.tolerance, "layer norm of \(width)")
        expectClose(
          x.rmsNormVJP(dy, weight: w, scale: s, epsilon: 1e-3), normReference(x, dy, w, s, rms: true), Self.tolerance,
          "RMS norm of \(width)")
      }
    }
  }

  @Test(arguments: Kernels.available) func normsReadAnyStrides(_ kernels: Kernels) {
    let x = Naive.tensor(2, 5, 3, 8).transposed(1, 2), dy = Naive.tensor(2, 3, 8, 5, seed: 2).transposed(2, 3)
    Kernels.with(kernels) {
      expectClose(
        x.rmsNormVJP(dy, epsilon: 1e-3), normReference(x, dy, nil, nil, rms: true), Self.tolerance, "heads")
    }
  }

  /// The derivative of `(x - mean) / sqrt(variance + 1e-3)` times what follows it.
  private func normReference(_ x: Tensor, _ dy: Tensor, _ weight: Tensor?, _ scale: Tensor?, rms: Bool) -> Tensor {
    let x = x.converted(to: .f64)
    var g = dy.converted(to: .f64)
    if let weight { g = g * weight.converted(to: .f64) }
    if let scale { g = g * (scale.converted(to: .f64) + 1) }
    let centred = rms ? x : x - x.mean(-1, keepDims: true)
    let root = (centred.squared().mean(-1, keepDims: true) + 1e-3).squareRoot(), unit = centred / root
    let inner = (rms ? g : g - g.mean(-1, keepDims: true)) - unit * (g * unit).mean(-1, keepDims: true)
    return inner / root
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func linearGoesBackThroughEveryWeight(_ kernels: Kernels, _ dtype: DType) {
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 17, 5), (33, 65, 130), (2, 300, 7)] {
      let weight = Naive.tensor(outputs, inputs).converted(to: dtype), dy = Naive.tensor(rows, outputs, seed: 2)
      let expected = product(dy, weight.converted(to: .f32))
      Kernels.with(kernels) {
        // Some sets round activations to bf16 beside bf16 weights, as their forward products do.
        let rounds = dtype == .bf16 && ["avx512bf16", "amx"].contains(kernels.name)
        expectClose(
          Tensor.linearVJP(dy, weight: weight), expected, Tolerance(absolute: 0, relativeToMax: rounds ? 1e-2 : 1e-5),
          "\(rows) rows, \(inputs) → \(outputs)")
      }
    }
  }

  @Test(arguments: Kernels.available, QuantizedMatrix.Format.allCases)
  func linearGoesBackThroughBlocks(_ kernels: Kernels, _ format: QuantizedMatrix.Format) {
    let columns = 2 * format.blockSize,
      weight = QuantizedMatrix.sketch(format, rows: 37, columns: columns, seed: 3)
    let dy = Naive.tensor(2, 5, 37), wide = weight.dequantized()
    Kernels.with(kernels) {
      let all = product(dy, wide.broadcast(to: [2, 37, columns]))
      expectClose(Tensor.linearVJP(dy, weight: weight), all, Tolerance(absolute: 0, relativeToMax: 1e-5), "\(format)")
      let part = 5..<columns - 3
      expectClose(
        Tensor.linearVJP(dy.transposed(0, 1), weight: weight, columns: part),
        all.transposed(0, 1).narrow(2, from: 5, count: part.count), Tolerance(absolute: 0, relativeToMax: 1e-5),
        "\(format), some columns")
    }
  }

  @Test func aWrongShapeIsNamed() async {
    await #expect(processExitsWith: .failure) { _ = Tensor(zeros: [2, 3]).layerNormVJP(Tensor(zeros: [3, 2])) }
  }
}
