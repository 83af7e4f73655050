import Foundation
import Tensor
import TestSupport
import Testing

/// Norms, softmax and rotary embedding against f64 loops, for every layout, and unchanged by the number of threads.
@Suite struct NormalizationTests {
  static let widths = [1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 128, 300, 1024, 3073]
  static let tolerance = Tolerance(absolute: 2e-6, relativeToMax: 1e-6)

  private func rows(_ x: Tensor, _ body: ([Double]) -> [Double]) -> [Double] {
    let values = Naive.doubles(x), n = x.shape[x.rank - 1]
    return stride(from: 0, to: values.count, by: n).flatMap { body(Array(values[$0..<($0 + n)])) }
  }

  private func normalized(_ row: [Double], rms: Bool, _ epsilon: Double) -> [Double] {
    let mean = rms ? 0 : row.reduce(0, +) / Double(row.count)
    let variance = row.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(row.count)
    return row.map { ($0 - mean) / (variance + epsilon).squareRoot() }
  }

  @Test(arguments: Kernels.available) func normsOfEveryWidth(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for width in Self.widths {
        let x = Naive.tensor(2, 3, width) + 0.5
        let weight = Naive.tensor(width, seed: 2), bias = Naive.tensor(width, seed: 3)
        let scale = Naive.tensor(2, 1, width, seed: 4), shift = Naive.tensor(2, 1, width, seed: 5)
        for rms in [false, true] {
          let plain = Tensor(scalars: rows(x) { normalized($0, rms: rms, 1e-5) }, shape: x.shape)
          let affine = plain * weight.converted(to: .f64) + bias.converted(to: .f64)
          func check(_ w: Tensor?, _ b: Tensor?, _ s: Tensor?, _ t: Tensor?, _ expected: Tensor, _ what: String) {
            let y =
              rms
              ? x.rmsNorm(weight: w, bias: b, scale: s, shift: t, epsilon: 1e-5)
              : x.layerNorm(weight: w, bias: b, scale: s, shift: t, epsilon: 1e-5)
            expectClose(y, expected, Self.tolerance, "\(what), width \(width), rms \(rms)")
          }
          check(nil, nil, nil, nil, plain, "plain")
          check(weight, nil, nil, nil, plain * weight, "weight")
          check(weight, bias, nil, nil, affine, "weight and bias")
          check(nil, bias, nil, nil, plain + bias, "bias")
          check(nil, nil, scale, shift, plain * (1 + scale) + shift, "modulated")
          check(weight, bias, scale, shift, affine * (1 + scale) + shift, "weight, bias, modulated")
          check(weight, nil, scale, nil, plain * weight * (1 + scale), "weight, scale")
          check(nil, nil, nil, shift, plain + shift, "shift")
        }
      }
    }
  }

  @Test(arguments: Kernels.available) func layoutsAndTypesGiveWhatPackedF32Gives(_ kernels: Kernels) {
    Kernels.with(kernels) {
      let base = Naive.tensor(2, 7, 3, 64), weight = Naive.tensor(64, seed: 2)
      let views = [
        base, base.transposed(1, 2), base.permuted(2, 0, 1, 3), base.permuted(3, 1, 2, 0), base[.all, .every(2)],
        base.flipped(0, 3), base[.all, 2], base[.all, .all, .all, 5...],
        Naive.tensor(2, 3, 4, 5, 64).permuted(2, 0, 3, 1, 4),
      ]
      for view in views {
        let width = view.shape[view.rank - 1], w = weight.narrow(0, from: 0, count: min(width, 64))
        let parameter = width == w.count ? w : nil
        let packed = view.copied()
        #expect(view.rmsNorm(weight: parameter).floats == packed.rmsNorm(weight: parameter).floats, "\(view.strides)")
        #expect(view.softmax().floats == packed.softmax().floats, "\(view.strides)")
        let narrow = view.converted(to: .bf16), wide = narrow.converted(to: .f32)
        #expect(narrow.layerNorm().floats == wide.layerNorm(as: .bf16).floats)
        #expect(narrow.layerNorm(as: .f32).floats == wide.layerNorm().floats)
        #expect(narrow.softmax().floats == wide.softmax().converted(to: .bf16).floats)
      }
      let wide = Naive.tensor(2, 3, 4, 5, 6), scale = Naive.tensor(3, 1, 5, 6, seed: 4)
      let view = wide.permuted(2, 0, 3, 1, 4)[.all, .all, .all, 0..<3]  // [4, 2, 5, 3, 6]
      let modulation = scale.transposed(0, 2)[.all, 0]  // [5, 3, 6]
      let expected = view.copied().layerNorm() * (1 + modulation)
      expectClose(view.layerNorm(scale: modulation), expected, Self.tolerance)
    }
  }

  @Test(arguments: Kernels.available) func groupNormOfEveryShape(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for (shape, groups) in [
        ([2, 6, 5, 7], 3), ([1, 4, 1], 4), ([3, 4], 2), ([1, 2, 300, 300], 1), ([2, 8, 33], 8),
      ] {
        let x = Tensor(Naive.values(shape.reduce(1, *)), shape: shape) + 3
        let channels = shape[1], weight = Naive.tensor(channels, seed: 2), bias = Naive.tensor(channels, seed: 3)
        let grouped = x.reshaped([shape[0], groups, -1])
        let plain = Tensor(scalars: rows(grouped) { normalized($0, rms: false, 1e-5) }, shape: shape)
        let perChannel = [channels] + [Int](repeating: 1, count: shape.count - 2)
        let affine = plain * weight.reshaped(perChannel) + bias.reshaped(perChannel)
        let y = x.groupNorm(groups: groups, weight: weight, bias: bias)
        let tolerance = Tolerance(absolute: 5e-6, relativeToMax: 1e-6)
        expectClose(x.groupNorm(groups: groups), plain, tolerance, "\(shape)")
        expectClose(y, affine, tolerance, "\(shape) affine")
        expectClose(
          x.groupNorm(groups: groups, weight: weight, bias: bias, silu: true), affine.silu(), tolerance, "\(shape) SiLU"
        )
        let narrow = x.converted(to: .bf16)
        #expect(
          narrow.groupNorm(groups: groups).floats
            == narrow.converted(to: .f32).groupNorm(groups: groups, as: .bf16).floats)
      }
    }
  }

  @Test(arguments: Kernels.available) func aCoarserGridModulatesAsIfInterpolated(_ kernels: Kernels) {
    Kernels.with(kernels) {
      let x = Naive.tensor(2, 4, 3, 4, 18), weight = Naive.tensor(4, seed: 2), bias = Naive.tensor(4, seed: 3)
      let scale = Naive.tensor(2, 4, 2, 2, 6, seed: 4), shift = Naive.tensor(2, 4, 2, 2, 6, seed: 5)
      let frames = [0, 1, 1]
      func spread(_ grid: Tensor) -> Tensor {
        grid.take(2, Tensor(scalars: frames.map { Int64($0) }))
          .repeated("b c f h w -> b c f (h p) (w q)", ["p": 2, "q": 3])
      }
      for silu in [false, true] {
        let modulated = x.groupNorm(
          groups: 2, weight: weight, bias: bias,
          modulation: GroupModulation(scale: scale, shift: shift, frames: frames), silu: silu)
        let plain = x.groupNorm(groups: 2, weight: weight, bias: bias) * spread(scale) + spread(shift)
        expectClose(modulated, silu ? plain.silu() : plain, Tolerance(absolute: 1e-5), "silu \(silu)")
      }
    }
  }

  @Test(arguments: Kernels.available) func softmaxAlongEveryAxis(_ kernels: Kernels) {
    Kernels.with(kernels) {
      for width in Self.widths {
        let x = Naive.tensor(3, width, range: 30)
        let expected = rows(x) { row in
          let top = row.max() ?? 0, powers = row.map { exp($0 - top) }, sum = powers.reduce(0, +)
          return powers.map { $0 / sum }
        }
        let tolerance = Tolerance(absolute: 3e-7)
        expectClose(Naive.doubles(x.softmax()), expected, tolerance, "width \(width)")
        expectClose(
          Naive.doubles(x.logSoftmax()), expected.map { log($0) }, Tolerance(absolute: 2e-5),
          "logarithm, width \(width)")
        #expect(x.transposed().softmax(0).transposed().floats == x.softmax().floats)
        expectClose(Naive.doubles(x.converted(to: .f64).softmax()), expected, Tolerance(absolute: 1e-15), "f64")
      }
      #expect(Tensor([0, -.infinity, 0]).softmax().floats == [0.5, 0, 0.5])
      #expect(Tensor([1000, 1000]).softmax().floats == [0.5, 0.5])
      #expect(Tensor([-.infinity, -.infinity]).softmax().floats.allSatisfy { $0.isNaN })
      #expect(Tensor(3).softmax().item == 1 && Tensor(zeros: [2, 0]).softmax().shape == [2, 0])
    }
  }

  @Test(arguments: Kernels.available, [RotaryPairs.interleaved, .halves])
  func rotaryTurnsEveryPair(_ kernels: Kernels, _ pairs: RotaryPairs) {
    Kernels.with(kernels) {
      for width in [2, 6, 16, 18, 34, 64, 128] {
        let x = Naive.tensor(2, 3, 5, width), angles = Naive.tensor(5, width, range: 9, seed: 7)
        let cosine = angles.cos(), sine = angles.sin()
        let turned =
          pairs == .interleaved
          ? Tensor.stackPairs(x[.ellipsis, 1...][.ellipsis, .every(2)], x[.ellipsis, .every(2)])
          : Tensor.joinHalves(x[.ellipsis, (width / 2)...], x[.ellipsis, ..<(width / 2)])
        let expected = x.converted(to: .f64) * cosine + turned.converted(to: .f64) * sine
        let tolerance = Tolerance(absolute: 5e-7)
        expectClose(x.applyingRotary(cos: cosine, sin: sine, pairs: pairs), expected, tolerance, "width \(width)")
        let view = x.transposed(1, 2).contiguous().transposed(1, 2)
        expectClose(view.applyingRotary(cos: cosine, sin: sine, pairs: pairs), expected, tolerance, "view \(width)")
        var inPlace = x.copied()
        let place = inPlace.rawPointer
        inPlace.applyRotary(cos: cosine, sin: sine, pairs: pairs)
        #expect(inPlace.rawPointer == place)
        expectClose(inPlace, expected, tolerance, "in place \(width)")
        let narrow = x.converted(to: .bf16)
        let fromNarrow = narrow.applyingRotary(cos: cosine, sin: sine, pairs: pairs)
        let fromWide = narrow.converted(to: .f32).applyingRotary(cos: cosine, sin: sine, pairs: pairs)
        #expect(fromNarrow.dtype == .bf16 && fromNarrow.floats == fromWide.converted(to: .bf16).floats)
      }
    }
  }

  @Test func rotaryInPlaceLeavesOtherHoldersAlone() {
    var x = Naive.tensor(1, 2, 3, 4)
    let holder = x, values = x.floats, table = Tensor(full: [3, 4], 0.5)
    x.applyRotary(cos: table, sin: table)
    #expect(holder.floats == values && x.floats != values)
  }

  @Test func mistakesNameTheShapes() async throws {
    let norm = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).layerNorm(weight: Tensor(zeros: [4]))
      })
    expectTrapText(norm, "layerNorm: parameter of shape [4], expected [3], for input of shape [2, 3]")
    let scale = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).layerNorm(scale: Tensor(zeros: [5, 2, 3]))
      })
    expectTrapText(scale, "modulation of shape [5, 2, 3] does not broadcast to input of shape [2, 3]")
    let rotary = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [1, 2, 4]).applyingRotary(cos: Tensor(zeros: [4, 2]), sin: Tensor(zeros: [4, 2]))
      })
    expectTrapText(rotary, "shape [1, 2, 4]")
    expectTrapText(rotary, "[4, 2] and [4, 2]")
    let groups = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [1, 6, 4]).groupNorm(groups: 4)
      })
    expectTrapText(groups, "groupNorm: shape [1, 6, 4]")
  }

}

extension Tensor {
  /// `(-a[i], b[i])` interleaved along the last axis.
  fileprivate static func stackPairs(_ a: Tensor, _ b: Tensor) -> Tensor {
    var result = Tensor(zeros: b.shape + [2])
    result[.ellipsis, 0] = -a
    result[.ellipsis, 1] = b
    return result.flattened(from: -2)
  }

  /// `(-a, b)` one after the other along the last axis.
  fileprivate static func joinHalves(_ a: Tensor, _ b: Tensor) -> Tensor {
    let half = b.shape[b.rank - 1]
    var result = Tensor(zeros: Array(b.shape.dropLast()) + [2 * half])
    result[.ellipsis, ..<half] = -a
    result[.ellipsis, half...] = b
    return result
  }
}
