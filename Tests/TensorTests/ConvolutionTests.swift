import Tensor
import TestSupport
import Testing

@Suite struct ConvolutionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var x, weight: [Int]
    var stride = [1, 1, 1], before = [0, 0, 0], after = [0, 0, 0], dilation = [1, 1, 1]
    var groups = 1
    var testDescription: String {
      "\(x) * \(weight), stride \(stride), padding \(before) \(after), dilation \(dilation), \(groups) groups"
    }
  }

  static let cases = [
    Case(x: [1, 3, 1, 8, 60], weight: [5, 3, 1, 3, 3], before: [0, 1, 1], after: [0, 1, 1]),
    Case(
      x: [2, 4, 1, 9, 11], weight: [6, 2, 1, 3, 2], stride: [1, 2, 3], before: [0, 2, 0], after: [0, 0, 1], groups: 2),
    Case(x: [1, 12, 1, 7, 7], weight: [12, 1, 1, 3, 3], before: [0, 1, 1], after: [0, 1, 1], groups: 12),
    Case(
      x: [1, 2, 1, 13, 17], weight: [3, 2, 1, 3, 4], stride: [1, 1, 2], before: [0, 3, 5], after: [0, 1, 2],
      dilation: [1, 3, 2]),
    Case(x: [2, 5, 1, 6, 5], weight: [9, 5, 1, 1, 1]),
    Case(x: [2, 5, 1, 6, 5], weight: [9, 5, 1, 1, 1], stride: [1, 2, 2]),
    Case(
      x: [1, 3, 5, 6, 7], weight: [4, 3, 3, 2, 3], stride: [2, 1, 1], before: [2, 0, 1], after: [0, 1, 0],
      dilation: [1, 2, 1]),
    Case(x: [1, 40, 1, 5, 50], weight: [17, 40, 1, 3, 3], before: [0, 1, 1], after: [0, 1, 1]),
    Case(x: [1, 1, 1, 2, 1], weight: [1, 1, 1, 1, 3], before: [0, 0, 9], after: [0, 0, 9]),
    Case(x: [1, 2, 2, 3, 4], weight: [3, 2, 2, 3, 4]),
    // Several tiles of channels and of outputs and a rest, strips of columns and rows; as a video, with blocks of channels.
    Case(x: [1, 65, 1, 2, 150], weight: [33, 65, 1, 3, 3], before: [0, 1, 1], after: [0, 1, 1]),
    Case(
      x: [1, 37, 2, 3, 21], weight: [18, 37, 2, 3, 2], before: [1, 4, 2], after: [0, 3, 0], dilation: [1, 2, 3]),
    Case(x: [2, 19, 1, 40, 70], weight: [9, 19, 1, 3, 3], before: [0, 1, 1], after: [0, 1, 1]),
    Case(x: [1, 330, 1, 2, 120], weight: [2, 330, 3, 3, 3], before: [2, 1, 1], after: [0, 1, 1]),
  ]

  /// Whether convolutions with bf16 weights may multiply pairs of bf16.
  static func rounds(_ kernels: Kernels) -> Bool { ["avx512bf16", "amx"].contains(kernels.name) }

  @Test(arguments: Kernels.available, cases)
  func agreesWithTheDefinition(_ kernels: Kernels, _ c: Case) {
    var numbers = TestNumbers(seed: 21)
    for dtype in [DType.f32, .bf16, .f16] {
      let x = numbers.tensor(c.x), weight = numbers.tensor(c.weight, dtype: dtype), bias = numbers.tensor(c.weight[0])
      let (shape, reference) = Self.reference(c, x, weight, bias)
      for precision in [ComputePrecision.float, .bf16] {
        let result = Kernels.with(kernels) {
          ComputePrecision.with(precision) {
            Tensor.conv3d(
              x, weight: weight, bias: bias, stride: PerAxis(c.stride), padding: PerAxis(c.before),
              paddingAfter: PerAxis(c.after), dilation: PerAxis(c.dilation), groups: c.groups)
          }
        }
        #expect(result.shape == shape)
        let rounds = precision == .bf16 && dtype == .bf16 && Self.rounds(kernels)
        reference.expect(result, operandsRounded: rounds, "\(c.testDescription) \(dtype) \(precision) \(kernels)")
      }
    }
  }

  /// Where activations are rounded anyway, rounding them before changes nothing.
  @Test(arguments: Kernels.available, [[1, 1, 1], [1, 3, 3], [3, 3, 3]])
  func activationsAreRoundedToNearestBeforeTheyAreMultiplied(_ kernels: Kernels, _ kernel: [Int]) {
    var numbers = TestNumbers(seed: 25)
    let x = numbers.tensor(1, 40, 4, 7, 33), weight = numbers.tensor([20, 40] + kernel, dtype: .bf16)
    func convolve(_ x: Tensor) -> Tensor { Tensor.conv3d(x, weight: weight, padding: PerAxis(kernel.map { $0 / 2 })) }
    Kernels.with(kernels) {
      let before = x.converted(to: .bf16).converted(to: .f32)
      let rounded = ComputePrecision.with(.bf16) { convolve(x) }
      #expect(ComputePrecision.with(.bf16) { convolve(before) }.isIdentical(to: rounded) == Self.rounds(kernels))
      let exact = ComputePrecision.with(.float) { convolve(before) }
      if Self.rounds(kernels) { expectClose(rounded, exact, Tolerance(absolute: 1e-4)) }
    }
  }

  @Test(arguments: Kernels.available)
  func twoDimensionsAreThreeWithOneFrame(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 22)
    let x = numbers.tensor(2, 3, 9, 10), weight = numbers.tensor(4, 3, 3, 3), residual = numbers.tensor(2, 4, 9, 10)
    Kernels.with(kernels) {
      let flat = Tensor.conv2d(x, weight: weight, padding: 1)
      let deep = Tensor.conv3d(x.unsqueezed(2), weight: weight.unsqueezed(2), padding: [0, 1, 1])
      #expect(flat.floats == deep.floats)
      let fused = Tensor.conv2d(x, weight: weight, padding: 1, activation: .silu, residual: residual).floats
      let (plain, rest) = (flat.floats, residual.floats)
      for index in plain.indices {
        let expected = Double(rest[index]) + LinearTests.apply(.silu, Double(plain[index]))
        #expect(abs(Double(fused[index]) - expected) < 1e-5)
      }
    }
  }

  @Test(arguments: Kernels.available)
  func aPictureHasTheSameBitsInAnyBatchAndOnAnyThreads(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 23)
    let x = numbers.tensor(3, 6, 14, 15)
    for dtype in [DType.f32, .bf16] {
      let weight = numbers.tensor(20, 6, 3, 3, dtype: dtype)
      func convolve(_ x: Tensor) -> Tensor { Kernels.with(kernels) { Tensor.conv2d(x, weight: weight, padding: 1) } }
      let together = convolve(x)
      for index in 0..<3 { #expect(convolve(x[index...index]).floats == together[index].floats) }
      #expect(withThreads(1) { convolve(x) }.floats == together.floats)
      #expect(convolve(x.transposed(2, 3).contiguous().transposed(2, 3)).floats == together.floats)
    }
  }

  /// Two pictures are written past the caches, one is not; rows of 67 end within a line.
  @Test(arguments: Kernels.available, [256, 67])
  func largeResultsHaveTheBitsOfSmallOnes(_ kernels: Kernels, _ width: Int) {
    var numbers = TestNumbers(seed: 26)
    let height = 80_000 / width
    let x = numbers.tensor(2, 1, height, width), weight = numbers.tensor(16, 1, 1, 3)
    let bias = numbers.tensor(16), residual = numbers.tensor(2, 16, height, width)
    Kernels.with(kernels) {
      func convolve(_ range: ClosedRange<Int>) -> Tensor {
        Tensor.conv2d(x[range], weight: weight, bias: bias, padding: [0, 1], residual: residual[range])
      }
      let together = convolve(0...1)
      for index in 0..<2 { #expect(together[index...index].isIdentical(to: convolve(index...index))) }
    }
  }

  /// Also where the past is longer than what follows it.
  @Test(arguments: Kernels.available, [4, 1])
  func pastFramesStandBeforeTheFirstAsIfJoined(_ kernels: Kernels, _ frames: Int) {
    var numbers = TestNumbers(seed: 24)
    let x = numbers.tensor(2, 3, frames, 5, 37), past = numbers.tensor(2, 3, 2, 5, 37)
    let first = x.narrow(2, from: 0, count: 1)
    Kernels.with(kernels) {
      for outputs in [4, 9] {
        let weights = numbers.tensor(outputs, 3, 3, 3, 3), residual = numbers.tensor(2, outputs, frames, 5, 37)
        for dtype in [DType.f32, .bf16] {
          let weight = weights.converted(to: dtype)
          for (front, frames) in [
            (past, PastFrames.frames(past)), (concatenated([first, first], axis: 2), .firstRepeated(2)),
          ] {
            let joined = Tensor.conv3d(
              concatenated([front, x], axis: 2), weight: weight, padding: [0, 1, 1], residual: residual)
            let causal = Tensor.causalConv3d(x, weight: weight, past: frames, padding: (1, 1), residual: residual)
            #expect(causal.isIdentical(to: joined), "\(outputs) \(dtype)")
          }
        }
      }
    }
  }

  @Test func mistakesNameTheShapes() async throws {
    let channels = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.conv2d(Tensor(zeros: [1, 3, 8, 8]), weight: Tensor(zeros: [4, 2, 3, 3]))
      })
    #expect(
      channels.standardErrorText.contains("conv2d: input [1, 3, 8, 8] does not fit weight [4, 2, 3, 3] in 1 groups"))
    let kernel = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.conv2d(Tensor(zeros: [1, 2, 2, 8]), weight: Tensor(zeros: [4, 2, 3, 3]))
      })
    #expect(kernel.standardErrorText.contains("[4, 2, 3, 3]") && kernel.standardErrorText.contains("[1, 2, 2, 8]"))
    let stride = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.conv2d(Tensor(zeros: [1, 2, 8, 8]), weight: Tensor(zeros: [4, 2, 3, 3]), stride: 0)
      })
    #expect(stride.standardErrorText.contains("conv2d: stride [0]"))
  }

  /// The definition: a sum over channels and taps for every output element.
  private static func reference(_ c: Case, _ x: Tensor, _ weight: Tensor, _ bias: Tensor) -> ([Int], ProductReference) {
    let input = x.floats.map(Double.init), w = weight.floats.map(Double.init), b = bias.floats.map(Double.init)
    let out: [Int] = (0..<3).map { axis in
      let room: Int = c.x[axis + 2] + c.before[axis] + c.after[axis]
      let span: Int = (c.weight[axis + 2] - 1) * c.dilation[axis] + 1
      return (room - span) / c.stride[axis] + 1
    }
    let inputs = c.weight[1], perGroup = c.weight[0] / c.groups
    let taps = indices(Array(c.weight.suffix(3)))
    var reference = ProductReference()
    for n in 0..<c.x[0] {
      for o in 0..<c.weight[0] {
        for place in indices(out) {
          var sum = b[o], magnitude = 1.0
          for channel in 0..<inputs {
            for (t, tap) in taps.enumerated() {
              let at: [Int] = (0..<3).map { axis in
                let origin: Int = place[axis] * c.stride[axis] - c.before[axis]
                return origin + tap[axis] * c.dilation[axis]
              }
              guard (0..<3).allSatisfy({ at[$0] >= 0 && at[$0] < c.x[$0 + 2] }) else { continue }
              let plane = (n * c.x[1] + o / perGroup * inputs + channel) * c.x[2]
              let value = input[((plane + at[0]) * c.x[3] + at[1]) * c.x[4] + at[2]]
              let term = value * w[(o * inputs + channel) * taps.count + t]
              sum += term
              magnitude += abs(term)
            }
          }
          reference.append(sum, magnitude: magnitude)
        }
      }
    }
    return ([c.x[0], c.weight[0]] + out, reference)
  }

  private static func indices(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { partial, extent in partial.flatMap { prefix in (0..<extent).map { prefix + [$0] } } }
  }
}
