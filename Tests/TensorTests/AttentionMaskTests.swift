import Foundation
import Tensor
import TestSupport
import Testing

/// Masks, causality, chosen rows, segments and independence of the company, on every instruction set.
@Suite struct AttentionMaskTests {
  private let size = AttentionTests.Size(batch: 2, heads: 2, queries: 103, keys: 261, headDim: 24)

  @Test(arguments: Kernels.available) func masksHideOrShiftLogits(_ kernels: Kernels) {
    let (query, key, value) = attentionOperands(size)
    let visible = (0..<2 * 103 * 261).map { $0 % 7 != 0 && $0 / 261 % 5 != 0 }  // every fifth query sees nothing
    let bool = Tensor(scalars: visible, shape: [2, 1, 103, 261])
    let hiding = Tensor(visible.map { $0 ? 0 : -Float.infinity }, shape: [2, 1, 103, 261])
    let shifting = attentionNoise([261], seed: 9)
    let hidden = attentionReference(query, key, value, mask: hiding)
    let shifted = attentionReference(query, key, value, mask: shifting)
    Kernels.with(kernels) {
      for mask in [bool, hiding] {
        let result = attentionWithLogSumExp(query: query, key: key, value: value, mask: mask)
        expectClose(result.output, hidden.output, attentionTolerance)
        expectClose(result.logSumExp, hidden.logSumExp, attentionTolerance)
        #expect(result.output[0, 0, 0].floats == [Float](repeating: 0, count: 24))
        #expect(result.logSumExp[0, 0, 0].item == -.infinity)
      }
      let result = scaledDotProductAttention(query: query, key: key, value: value, mask: shifting)
      expectClose(result, shifted.output, attentionTolerance)
    }
  }

  @Test(arguments: Kernels.available, [(300, 600), (600, 300), (1, 5)])
  func causalIsAlignedAtTheFirstQueryAndKey(_ kernels: Kernels, _ lengths: (Int, Int)) {
    let (query, key, value) = attentionOperands(
      AttentionTests.Size(queries: lengths.0, keys: lengths.1, headDim: 8))
    let triangle = (0..<lengths.0 * lengths.1).map { $0 % lengths.1 <= $0 / lengths.1 }
    let mask = Tensor(scalars: triangle, shape: [lengths.0, lengths.1])
    Kernels.with(kernels) {
      let causal = scaledDotProductAttention(query: query, key: key, value: value, causal: true)
      expectClose(
        causal, scaledDotProductAttention(query: query, key: key, value: value, mask: mask), attentionTolerance)
    }
  }

  @Test(arguments: Kernels.available, AttentionPrecision.allCases)
  func segmentsAreConcatenationToTheBit(_ kernels: Kernels, _ precision: AttentionPrecision) {
    let (query, key, value) = attentionOperands(size)
    let cuts = [0, 1, 100, 100, 261], rows = [0, 5, 103]
    let keys = zip(cuts, cuts.dropFirst()).map { AttentionKeys(key[.all, .all, $0..<$1], value[.all, .all, $0..<$1]) }
    let queries = zip(rows, rows.dropFirst()).map { query[.all, .all, $0..<$1] }
    let mask = attentionNoise([103, 261], seed: 5)
    Kernels.with(kernels) {
      for causal in [false, true] {
        let whole = attentionWithLogSumExp(
          query: query, key: key, value: value, mask: mask, causal: causal, precision: precision)
        let parts = attentionWithLogSumExp(
          queries: queries, keys: keys, mask: mask, causal: causal, precision: precision)
        for (index, part) in parts.enumerated() {
          let range = rows[index]..<rows[index + 1]
          #expect(part.output.floats == whole.output[.all, .all, range].floats)
          #expect(part.logSumExp.floats == whole.logSumExp[.all, .all, range].floats)
        }
      }
    }
  }

  @Test(arguments: Kernels.available, AttentionPrecision.allCases)
  func rowsDependNeitherOnCompanyNorOnThreads(_ kernels: Kernels, _ precision: AttentionPrecision) {
    let (query, key, value) = attentionOperands(AttentionTests.Size(heads: 2, queries: 405, keys: 290, headDim: 40))
    let before = Threads.count
    defer { Threads.count = before }
    Kernels.with(kernels) {
      let all = scaledDotProductAttention(query: query, key: key, value: value, precision: precision)
      for rows in [0..<1, 3..<10, 90..<110, 300..<405] {
        let alone = scaledDotProductAttention(
          query: query[.all, .all, rows], key: key, value: value, precision: precision)
        #expect(alone.floats == all[.all, .all, rows].floats, "rows \(rows)")
      }
      for threads in [1, 3, 7] {
        Threads.count = threads
        let again = scaledDotProductAttention(query: query, key: key, value: value, precision: precision)
        #expect(again.floats == all.floats, "\(threads) threads")
      }
    }
  }

  @Test(arguments: Kernels.available) func probabilitiesOfChosenRows(_ kernels: Kernels) {
    let (query, key, value) = attentionOperands(size)
    let mask = Tensor(scalars: (0..<103 * 261).map { $0 % 3 != 0 && $0 / 261 != 7 }, shape: [103, 261])
    let hiding = Tensor((0..<103 * 261).map { $0 % 3 != 0 && $0 / 261 != 7 ? 0 : -Float.infinity }, shape: [103, 261])
    let expected = attentionReference(query, key, value, mask: hiding).probabilities
    let rows = [102, 0, 7, 7], segments = [key[.all, .all, ..<90], key[.all, .all, 90...]]
    Kernels.with(kernels) {
      let result = attentionProbabilities(query: query, keys: segments, rows: rows, columns: 80..<200, mask: mask)
      #expect(result.shape == [2, 2, 4, 120])
      for (index, row) in rows.enumerated() {
        expectClose(result[.all, .all, index], expected[.all, .all, row, 80..<200], Tolerance(absolute: 1e-7))
      }
      let logits = attentionLogits(query: query, keys: [key], rows: rows, mask: mask)
      let sums = attentionWithLogSumExp(query: query, key: key, value: value, mask: mask).logSumExp
      let row = logits[1, 1, 0].floats.map { Double($0) }
      #expect(abs(log(row.reduce(0) { $0 + exp($1) }) - Double(sums[1, 1, 102].item)) < 1e-5)
      #expect(logits[0, 0, 2].floats.allSatisfy { $0 == -.infinity })
    }
  }

  @Test func nothingToAttendToGivesZeros() {
    let (query, _, _) = attentionOperands(AttentionTests.Size(queries: 3, keys: 1, headDim: 4))
    let none = Tensor(zeros: [1, 1, 0, 4])
    #expect(scaledDotProductAttention(query: query, key: none, value: none).floats == [Float](repeating: 0, count: 12))
    #expect(scaledDotProductAttention(query: none, key: query, value: query).shape == [1, 1, 0, 4])
    #expect(attentionProbabilities(query: query, keys: [query], rows: []).shape == [1, 1, 0, 3])
  }

  @Test func wrongShapesAreNamed() async throws {
    let key = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let query = Tensor(zeros: [1, 2, 3, 8]), key = Tensor(zeros: [1, 2, 5, 4])
        _ = scaledDotProductAttention(query: query, key: key, value: key)
      })
    expectTrapText(key, "query shape [1, 2, 3, 8] and key shape [1, 2, 5, 4] do not fit")
    let value = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let query = Tensor(zeros: [1, 2, 3, 8]), key = Tensor(zeros: [1, 2, 5, 8])
        _ = scaledDotProductAttention(query: query, key: key, value: Tensor(zeros: [1, 2, 4, 8]))
      })
    expectTrapText(value, "key shape [1, 2, 5, 8] and value shape [1, 2, 4, 8] do not fit")
    let mask = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let query = Tensor(zeros: [1, 2, 3, 8])
        _ = scaledDotProductAttention(query: query, key: query, value: query, mask: Tensor(zeros: [3, 4]))
      })
    expectTrapText(mask, "shape [3, 4] does not broadcast to [1, 2, 3, 3]")
    let row = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        let query = Tensor(zeros: [1, 2, 3, 8])
        _ = attentionProbabilities(query: query, keys: [query], rows: [3])
      })
    expectTrapText(row, "row 3 does not exist in query shape [1, 2, 3, 8]")
  }
}
