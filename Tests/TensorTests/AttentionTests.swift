import Foundation
import Tensor
import TestSupport
import Testing

/// Attention against loops in `f64`, on every instruction set of this machine.
@Suite struct AttentionTests {
  /// Extents of one call.
  struct Size: Sendable, CustomTestStringConvertible {
    var batch = 1
    var heads = 1
    let queries, keys, headDim: Int
    var valueDim: Int?
    var testDescription: String { "\(batch)x\(heads) \(queries)x\(keys), \(headDim) -> \(valueDim ?? headDim)" }
  }

  /// One query, one key, one feature; around vectors of 4, 8 and 16; around blocks of 96 queries and 256 keys.
  static let sizes = [
    Size(queries: 1, keys: 1, headDim: 1), Size(batch: 2, heads: 3, queries: 7, keys: 5, headDim: 3),
    Size(heads: 2, queries: 1, keys: 300, headDim: 40), Size(queries: 97, keys: 257, headDim: 64),
    Size(heads: 2, queries: 13, keys: 63, headDim: 72), Size(batch: 2, queries: 195, keys: 513, headDim: 128),
    Size(queries: 33, keys: 65, headDim: 256), Size(heads: 2, queries: 17, keys: 19, headDim: 16, valueDim: 40),
    Size(queries: 6, keys: 15, headDim: 17, valueDim: 1), Size(queries: 100, keys: 1, headDim: 31, valueDim: 256),
  ]

  @Test(arguments: Kernels.available, sizes)
  func agreesWithLoops(_ kernels: Kernels, _ size: Size) {
    let (query, key, value) = attentionOperands(size)
    let expected = attentionReference(query, key, value)
    Kernels.with(kernels) {
      let result = attentionWithLogSumExp(query: query, key: key, value: value)
      expectClose(result.output, expected.output, attentionTolerance, "output")
      expectClose(result.logSumExp, expected.logSumExp, attentionTolerance, "log-sum-exp")
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func narrowOperandsAreWidenedExactly(_ kernels: Kernels, _ dtype: DType) {
    let (query, key, value) = attentionOperands(Size(heads: 2, queries: 19, keys: 70, headDim: 37))
    let (q, k, v) = (query.converted(to: dtype), key.converted(to: dtype), value.converted(to: dtype))
    Kernels.with(kernels) {
      let narrow = scaledDotProductAttention(query: q, key: k, value: v)
      let wide = scaledDotProductAttention(
        query: q.converted(to: .f32), key: k.converted(to: .f32), value: v.converted(to: .f32))
      #expect(narrow.floats == wide.floats)
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func bf16PrecisionStaysWithinItsRounding(_ kernels: Kernels, _ dtype: DType) {
    let (query, key, value) = attentionOperands(Size(heads: 2, queries: 50, keys: 301, headDim: 65))
    let (q, k, v) = (query.converted(to: dtype), key.converted(to: dtype), value.converted(to: dtype))
    let expected = attentionReference(q, k, v).output
    Kernels.with(kernels) {
      let result = scaledDotProductAttention(query: q, key: k, value: v, precision: .bf16)
      expectClose(result, expected, Tolerance(absolute: 0, relativeToMax: 1.0 / 64))
      let rounded = scaledDotProductAttention(query: q, key: k, value: v, precision: .bf16, output: .bf16)
      #expect(rounded.dtype == .bf16)
      #expect(rounded.floats == result.converted(to: .bf16).floats)
    }
  }

  /// With nothing masked, a part of the keys masked, and keys after the query's own.
  @Test(arguments: Kernels.available, sizes)
  func bf16PrecisionHoldsAtEverySize(_ kernels: Kernels, _ size: Size) {
    let (query, key, value) = attentionOperands(size)
    let hidden = Tensor((0..<size.keys).map { $0 % 3 == 1 ? -.infinity : Float($0 % 5) / 8 })
    Kernels.with(kernels) {
      for (mask, causal) in [(nil, false), (hidden, false), (hidden.isFinite(), true)] as [(Tensor?, Bool)] {
        let exact = attentionWithLogSumExp(query: query, key: key, value: value, mask: mask, causal: causal)
        let narrow = attentionWithLogSumExp(
          query: query, key: key, value: value, mask: mask, causal: causal, precision: .bf16)
        let tolerance = Tolerance(absolute: 1e-6, relativeToMax: 1.0 / 64)
        expectClose(narrow.output, exact.output, tolerance, "output, \(size)")
        let finite = exact.logSumExp.floats.map { $0.isFinite }
        #expect(narrow.logSumExp.floats.map { $0.isFinite } == finite)
        for (one, other) in zip(narrow.logSumExp.floats, exact.logSumExp.floats) where other.isFinite {
          #expect(abs(one - other) <= 0.03 * max(1, abs(other)))
        }
        let rows = [size.queries - 1, 0]
        expectClose(
          attentionProbabilities(
            query: query, keys: [key], rows: rows, mask: mask, causal: causal, precision: .bf16),
          attentionProbabilities(query: query, keys: [key], rows: rows, mask: mask, causal: causal),
          Tolerance(absolute: 1e-6, relativeToMax: 1.0 / 32), "probabilities, \(size)")
      }
      let float = ComputePrecision.with(.float) {
        scaledDotProductAttention(query: query, key: key, value: value, precision: .bf16)
      }
      #expect(float.floats == scaledDotProductAttention(query: query, key: key, value: value).floats)
    }
  }

  @Test(arguments: Kernels.available) func anyStridesGiveTheSameBits(_ kernels: Kernels) {
    let size = Size(batch: 2, heads: 3, queries: 21, keys: 35, headDim: 20)
    let (query, key, value) = attentionOperands(size)
    // The same elements as [batch, tokens, heads, headDim], with the features reversed twice, and with gaps.
    let byTokens = query.permuted(0, 2, 1, 3).contiguous().permuted(0, 2, 1, 3)
    let flipped = key.flipped(3).contiguous().flipped(3)
    var wide = Tensor(zeros: [2, 3, 35, 29])
    wide[.all, .all, .all, 4..<24] = value
    let gaps = wide[.all, .all, .all, 4..<24]
    Kernels.with(kernels) {
      let expected = scaledDotProductAttention(query: query, key: key, value: value).floats
      #expect(scaledDotProductAttention(query: byTokens, key: flipped, value: gaps).floats == expected)
    }
  }

  @Test(arguments: Kernels.available) func oneHeadOfKeysServesAllQueryHeads(_ kernels: Kernels) {
    let (query, _, _) = attentionOperands(Size(batch: 2, heads: 4, queries: 9, keys: 1, headDim: 24))
    let (_, key, value) = attentionOperands(Size(queries: 1, keys: 33, headDim: 24))
    Kernels.with(kernels) {
      let shared = scaledDotProductAttention(query: query, key: key, value: value)
      let repeated = scaledDotProductAttention(
        query: query, key: key.broadcast(to: [2, 4, 33, 24]).contiguous(),
        value: value.broadcast(to: [2, 4, 33, 24]).contiguous())
      #expect(shared.floats == repeated.floats)
    }
  }

  @Test func outputMemoryIsReadyForMergingHeads() {
    let (query, key, value) = attentionOperands(Size(batch: 2, heads: 3, queries: 5, keys: 4, headDim: 8))
    let output = scaledDotProductAttention(query: query, key: key, value: value)
    #expect(output.shape == [2, 3, 5, 8])
    #expect(output.permuted(0, 2, 1, 3).isContiguous)
  }

  @Test(arguments: Kernels.available) func largeAndInfiniteLogitsNeverOverflow(_ kernels: Kernels) {
    let (query, key, value) = attentionOperands(Size(queries: 20, keys: 280, headDim: 16))
    let expected = attentionReference(query, key, value, scale: 100)
    Kernels.with(kernels) {
      let result = scaledDotProductAttention(query: query, key: key, value: value, scale: 100)
      expectClose(result, expected.output, Tolerance(absolute: 1e-3))
    }
  }
}

// MARK: Operands and the reference, shared by the attention suites

let attentionTolerance = Tolerance(absolute: 2e-6, relativeToMax: 2e-6)

/// Query, key and value with roughly normal elements, the same at every call.
func attentionOperands(_ size: AttentionTests.Size) -> (query: Tensor, key: Tensor, value: Tensor) {
  let valueDim = size.valueDim ?? size.headDim
  return (
    attentionNoise([size.batch, size.heads, size.queries, size.headDim], seed: 1),
    attentionNoise([size.batch, size.heads, size.keys, size.headDim], seed: 2),
    attentionNoise([size.batch, size.heads, size.keys, valueDim], seed: 3)
  )
}

/// Sums of four uniform numbers, of mean 0 and deviation 1.
func attentionNoise(_ shape: [Int], seed: UInt64) -> Tensor {
  var state = seed
  func uniform() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / Float(1 << 24) - 0.5
  }
  return Tensor(
    (0..<shape.reduce(1, *)).map { _ in (uniform() + uniform() + uniform() + uniform()) * 1.7320508 }, shape: shape)
}

/// Attention in `f64`, one query after the other. `mask` is added to the logits, `[batch, heads, queries, keys]`.
func attentionReference(_ query: Tensor, _ key: Tensor, _ value: Tensor, scale: Double? = nil, mask: Tensor? = nil)
  -> (output: Tensor, logSumExp: Tensor, probabilities: Tensor)
{
  let (planes, queries, keys) = (query.shape[0] * query.shape[1], query.shape[2], key.shape[2])
  let (headDim, valueDim) = (query.shape[3], value.shape[3])
  let q = query.floats.map(Double.init), k = key.floats.map(Double.init), v = value.floats.map(Double.init)
  let offsets = mask?.broadcast(to: [query.shape[0], query.shape[1], queries, keys]).floats
  var outputs: [Double] = [], sums: [Double] = [], probabilities: [Double] = []
  for row in 0..<planes * queries {
    let plane = row / queries
    var logits = (0..<keys).map { index in
      let products = (0..<headDim).reduce(0.0) { $0 + q[row * headDim + $1] * k[(plane * keys + index) * headDim + $1] }
      return products * (scale ?? 1 / Double(headDim).squareRoot()) + Double(offsets?[row * keys + index] ?? 0)
    }
    let maximum = logits.max() ?? -.infinity
    logits = logits.map { maximum == -.infinity ? 0 : exp($0 - maximum) }
    let total = logits.reduce(0, +)
    let weights = logits.map { total == 0 ? 0 : $0 / total }
    probabilities += weights
    sums.append(maximum + log(total))
    outputs += (0..<valueDim).map { column in
      (0..<keys).reduce(0.0) { $0 + weights[$1] * v[(plane * keys + $1) * valueDim + column] }
    }
  }
  let lead = Array(query.shape.prefix(3))
  return (
    Tensor(scalars: outputs, shape: lead + [valueDim]), Tensor(scalars: sums, shape: lead),
    Tensor(scalars: probabilities, shape: lead + [keys])
  )
}
