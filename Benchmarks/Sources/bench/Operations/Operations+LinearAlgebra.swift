import Harness
import Tensor

/// Decompositions of `[rows, columns]`: checked by putting the factors together again. What goes on record, to be
/// compared with a peer, are numbers that do not depend on the signs of vectors.
extension Operations {
  @Sendable static func svd(_ one: Case) throws -> Workload {
    let matrix = try matrix(one)
    return decomposition(matrix, run: { try matrix.svd() }) { parts in
      (.matmul(parts.u * parts.singularValues, parts.vTransposed), parts.singularValues)
    }
  }

  @Sendable static func eigh(_ one: Case) throws -> Workload {
    let general = try matrix(one)
    let symmetric = (general + general.transposed()).contiguous()
    return decomposition(symmetric, run: { try symmetric.symmetricEigen() }) { parts in
      (.matmul(parts.vectors * parts.values, parts.vectors.transposed()), parts.values)
    }
  }

  @Sendable static func qr(_ one: Case) throws -> Workload {
    let matrix = try matrix(one)
    return decomposition(matrix, run: { try matrix.qr() }) { parts in
      let size = parts.r.shape[1]
      let diagonal = (0..<size).map { abs(parts.r[$0, $0].item) }
      return (.matmul(parts.q, parts.r), Tensor(diagonal))
    }
  }

  private static func matrix(_ one: Case) throws -> Tensor {
    let dtype = try dtype(one, among: [.f32])
    return Operand([try one.size("rows"), try one.size("columns")], seed: 1, dtype: dtype).tensor
  }

  /// - Parameter describe: from the factors to their product and to the values for the record
  private static func decomposition<Parts>(
    _ matrix: Tensor, run: @escaping () throws -> Parts,
    describe: @escaping (Parts) -> (product: Tensor, values: Tensor)
  ) -> Workload {
    Workload(
      limit: .other, inputOutputBytes: matrix.byteCount, tolerance: 1e-4, run: { keep(try run()) },
      probe: {
        let (product, values) = describe(try run())
        let worst = zip(product.floats, matrix.floats).map { abs($0 - $1) }.max() ?? 0
        guard worst < 1e-3 else { throw BenchmarkError("the factors' product is off by \(worst)") }
        let list = values.floats
        return Inputs.probedIndices(list.count).map { Probe(actual: Double(list[$0]), expected: Double(list[$0])) }
      })
  }
}
