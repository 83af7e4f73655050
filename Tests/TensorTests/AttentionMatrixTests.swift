import Tensor
import TestSupport
import Testing

/// Masks and factors of single key streams, and the weights as something to multiply by, on every instruction set.
@Suite struct AttentionMatrixTests {
  private let size = AttentionTests.Size(batch: 2, heads: 2, queries: 103, keys: 301, headDim: 24)
  private let close = Tolerance(absolute: 2e-6, relativeToMax: 4e-6)

  /// Two key streams with a factor and masks of every kind and shape, and all of it as one mask and one key.
  private struct Case {
    let query, whole, value, mask: Tensor
    let streams: [AttentionKeys]

    init(_ size: AttentionTests.Size) {
      let (query, key, value) = attentionOperands(size)
      let cut = 120, queries = size.queries, rest = size.keys - cut
      let perHead = attentionNoise([1, size.heads, 1, 1], seed: 11)
      let perKey = attentionNoise([1, 1, 1, cut], seed: 12)
      let region = Tensor(scalars: (0..<queries * rest).map { $0 % 5 != 2 }, shape: [1, 1, queries, rest])
      // Query 7 sees nothing of either.
      let row = Tensor(scalars: (0..<queries).map { $0 != 7 }, shape: [1, 1, queries, 1])
      var first = AttentionKeys(key[.all, .all, ..<cut], value[.all, .all, ..<cut])
      first.logitFactor = 1.7
      first.masks = [perHead, perKey, row]
      var second = AttentionKeys(key[.all, .all, cut...], value[.all, .all, cut...])
      second.masks = [region, row]
      let shape = [size.batch, size.heads, queries]
      func hidden(_ mask: Tensor) -> Tensor {
        Tensor(zeros: mask.shape).filled(where: mask.logicalNot(), with: -.infinity)
      }
      let left = (perHead + perKey).broadcast(to: shape + [cut]) + hidden(row)
      let right = hidden(region).broadcast(to: shape + [rest]) + hidden(row)
      (self.query, self.value) = (query, value)
      whole = concatenated([key[.all, .all, ..<cut] * 1.7, key[.all, .all, cut...]], axis: 2)
      mask = concatenated([left, right], axis: 3)
      streams = [first, second]
    }
  }

  @Test(arguments: Kernels.available) func masksOfStreamsAreThoseOfTheWhole(_ kernels: Kernels) {
    let one = Case(size), expected = attentionReference(one.query, one.whole, one.value, mask: one.mask)
    Kernels.with(kernels) {
      let found = attentionWithLogSumExp(queries: [one.query], keys: one.streams)[0]
      expectClose(found.output, expected.output, close)
      expectClose(found.logSumExp, expected.logSumExp, close)
      #expect(found.output[0, 0, 7].floats == [Float](repeating: 0, count: 24))
      let rows = [102, 7, 0], columns = 100..<250
      let weights = attentionProbabilities(query: one.query, keys: one.streams, rows: rows, columns: columns)
      for (index, row) in rows.enumerated() {
        expectClose(
          weights[.all, .all, index], expected.probabilities[.all, .all, row, columns], Tolerance(absolute: 1e-6))
      }
      let logits = attentionLogits(query: one.query, keys: one.streams, rows: rows)
      expectClose(logits.softmax(-1)[.all, .all, 2], expected.probabilities[.all, .all, 0], Tolerance(absolute: 1e-6))
    }
  }

  @Test(arguments: Kernels.available) func productsWithTheMatrixAreThoseOfItsNumbers(_ kernels: Kernels) {
    let one = Case(size), weights = attentionReference(one.query, one.whole, one.value, mask: one.mask).probabilities
    let byColumn = attentionNoise([2, 1, 301, 5], seed: 21), byRow = attentionNoise([2, 2, 103, 3], seed: 22)
    Kernels.with(kernels) {
      let matrix = AttentionMatrix(query: one.query, keys: one.streams)
      #expect(matrix.columns == 301)
      expectClose(matrix.times(byColumn), Tensor.matmul(weights, byColumn.converted(to: .f64)), close)
      expectClose(
        matrix.transposedTimes(byRow), Tensor.matmul(weights.transposed(), byRow.converted(to: .f64)), close)
      expectClose(matrix.columnMass, weights.sum(2), close)
      // A query that sees nothing gives nothing.
      expectClose(matrix.columnMass.sum(-1), Tensor(full: [2, 2], 102), Tolerance(absolute: 1e-4))
    }
  }

  @Test func noScoreMatrixIsEverInMemory() async {
    await #expect(processExitsWith: .success) {
      // 64 MB of scores for each of 4 heads.
      let tokens = 4096, shape = [1, 4, tokens, 16]
      let query = Tensor(ones: shape), key = Tensor(ones: shape)
      var keys = AttentionKeys(key, key)
      keys.logitFactor = 1.5
      keys.masks = [
        Tensor(ones: [1, 4, 1, 1]), Tensor(ones: [1, 1, tokens, 1]), Tensor(ones: [1, 1, 1, tokens], dtype: .bool),
      ]
      let x = Tensor(ones: [1, 1, tokens, 2])
      Memory.resetPeak()
      let before = Memory.live
      _ = scaledDotProductAttention(queries: [query], keys: [keys])
      let matrix = AttentionMatrix(query: query, keys: [keys])
      _ = (matrix.times(x), matrix.transposedTimes(x), matrix.columnMass)
      precondition(Memory.peak - before < 4 << 20, "\(Memory.peak - before) bytes")
    }
  }
}
