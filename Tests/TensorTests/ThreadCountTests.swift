import Tensor
import TestSupport
import Testing

/// The number of threads is a matter of time only: every result is the same to the last bit.
@Suite(.serialized) struct ThreadCountTests {
  @Test(arguments: Kernels.available) func changesNoResult(_ kernels: Kernels) {
    let x = Naive.tensor(70, 3000), tall = Naive.tensor(90_000, 3), image = Naive.tensor(1, 8, 130, 130)
    let scale = Naive.tensor(3000, seed: 2), table = Naive.tensor(70, 3000, seed: 3)
    let results: () -> [[UInt8]] = {
      Kernels.with(kernels) {
        [
          x.layerNorm(scale: scale), x.softmax(), x.gelu(.tanh), x + scale, x.converted(to: .bf16), x.sum(),
          x.sum(0), x.variance(1), tall.sum(0), tall.variance(), tall.argmax(0), image.groupNorm(groups: 2, silu: true),
          x.applyingRotary(cos: table, sin: table), x.transposed().converted(to: .f16), x.cumulativeSum(1),
        ].map(\.bytes)
      }
    }
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let single = results()
    for threads in [2, 3, 7] {
      Threads.count = threads
      #expect(results() == single, "\(threads) threads")
    }
  }

  @Test(arguments: Kernels.available) func changesNoDecomposition(_ kernels: Kernels) throws {
    // Large enough for the parts that are read again and again to be shared out, and to be left to one thread at the end.
    let x = Naive.tensor(320, 150), square = Naive.tensor(430, 430)
    let results = {
      try Kernels.with(kernels) {
        let svd = try x.svd(), direct = try square.svd(), qr = try x.qr(), eigen = try square.symmetricEigen()
        let all = [
          svd.u, svd.singularValues, svd.vTransposed, direct.u, qr.q, qr.r, eigen.values, eigen.vectors,
          try square.singularValues(), try square.symmetricEigenvalues(),
        ]
        return all.map(\.bytes)
      }
    }
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let single = try results()
    for threads in [2, 3, 7] {
      Threads.count = threads
      #expect(try results() == single, "\(threads) threads")
    }
  }
}
