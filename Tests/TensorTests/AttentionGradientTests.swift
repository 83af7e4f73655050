import Tensor
import TestSupport
import Testing

/// The way back through attention against the same in `f64`, with whole score matrices.
@Suite struct AttentionGradientTests {
  static let tolerance = Tolerance(absolute: 1e-6, relativeToMax: 1e-5)
  /// Operands, probabilities and slopes are rounded to 8 bits.
  static let roundedTolerance = Tolerance(absolute: 0.02, relativeToMax: 0.02)

  struct Size: Sendable, CustomTestStringConvertible {
    var batch = 1, heads = 1
    let queries, keys, headDim: Int
    var valueDim: Int?
    var testDescription: String { "\(batch)x\(heads) \(queries)x\(keys), \(headDim) -> \(valueDim ?? headDim)" }
  }

  /// Around blocks of 64, vectors of 4, 8 and 16, tiles of 6 rows, and enough keys for several splits.
  static let sizes = [
    Size(queries: 1, keys: 1, headDim: 1), Size(batch: 2, heads: 3, queries: 7, keys: 5, headDim: 3),
    Size(heads: 2, queries: 63, keys: 64, headDim: 16), Size(queries: 65, keys: 129, headDim: 72),
    Size(heads: 2, queries: 17, keys: 19, headDim: 16, valueDim: 40), Size(queries: 70, keys: 600, headDim: 128),
    Size(batch: 2, heads: 20, queries: 9, keys: 70, headDim: 8),
  ]

  @Test(arguments: Kernels.available, sizes) func agreesWithTheWholeMatrix(_ kernels: Kernels, _ size: Size) {
    var call = Call(size)
    Kernels.with(kernels) {
      check(call, call.gradient())
      call.precision = .bf16
      check(call, call.gradient())
    }
  }

  @Test(arguments: Kernels.available, AttentionPrecision.allCases)
  func masksAndBiasesAreConstants(_ kernels: Kernels, _ precision: AttentionPrecision) {
    var call = Call(Size(batch: 2, heads: 2, queries: 66, keys: 70, headDim: 24))
    (call.scale, call.precision) = (0.7, precision)
    let bias = Naive.tensor(1, 2, 66, 70, seed: 9)
    let forbidden = Tensor(Naive.values(66 * 70, seed: 10).map { $0 > 1 ? -.infinity : 0 }, shape: [1, 1, 66, 70])
    Kernels.with(kernels) {
      for mask in [bias, bias + forbidden, Naive.tensor(2, 1, 1, 70, seed: 3)] {
        call.mask = mask
        check(call, call.gradient())
      }
    }
  }

  @Test(arguments: Kernels.available, AttentionPrecision.allCases)
  func aQueryThatSeesNothingHasNoGradient(_ kernels: Kernels, _ precision: AttentionPrecision) {
    var call = Call(Size(heads: 2, queries: 3, keys: 5, headDim: 8))
    call.precision = precision
    var allowed = [Bool](repeating: true, count: 15)
    for key in 5..<10 { allowed[key] = false }
    allowed[2] = false
    call.mask = Tensor(scalars: allowed, shape: [1, 1, 3, 5])
    Kernels.with(kernels) {
      let gradient = call.gradient()
      #expect(gradient.query[.all, .all, 1].absolute().sum().item == 0)
      check(call, gradient)
    }
  }

  @Test(arguments: Kernels.available) func severalStreamsOfKeysAreOne(_ kernels: Kernels) {
    let call = Call(Size(heads: 2, queries: 40, keys: 100, headDim: 12))
    Kernels.with(kernels) {
      let whole = call.gradient()
      let parts = [0..<30, 30..<97, 97..<100].map { range in
        AttentionKeys(
          call.key.narrow(2, from: range.lowerBound, count: range.count),
          call.value.narrow(2, from: range.lowerBound, count: range.count))
      }
      let output = attentionWithLogSumExp(queries: [call.query], keys: parts)[0]
      let gradient = attentionVJP(query: call.query, keys: parts, output: output, gradient: call.direction)
      expectClose(gradient.query, whole.query, Self.tolerance, "query")
      expectClose(concatenated(gradient.keys.map(\.key), axis: 2), whole.keys[0].key, Self.tolerance, "key")
      expectClose(concatenated(gradient.keys.map(\.value), axis: 2), whole.keys[0].value, Self.tolerance, "value")
    }
  }

  @Test func sharedKeysGetTheSumOverWhoReadsThem() {
    var call = Call(Size(batch: 2, heads: 3, queries: 9, keys: 11, headDim: 8))
    call.key = call.key.narrow(0, from: 0, count: 1).narrow(1, from: 0, count: 1)
    let output = call.output()
    let gradient = attentionVJP(
      query: call.query, keys: [AttentionKeys(call.key, call.value)], output: output, gradient: call.direction)
    #expect(gradient.keys[0].key.shape == [1, 1, 11, 8])
    call.key = call.key.broadcast(to: [2, 3, 11, 8]).contiguous()
    expectClose(
      gradient.keys[0].key, call.gradient().keys[0].key.sum([0, 1], keepDims: true), Self.tolerance, "shared keys")
  }

  @Test(arguments: AttentionPrecision.allCases) func bitsDoNotDependOnThreads(_ precision: AttentionPrecision) {
    var call = Call(Size(heads: 2, queries: 130, keys: 700, headDim: 32))
    call.precision = precision
    let threads = Threads.count
    defer { Threads.count = threads }
    let results = [1, 2, 3].map { [call] count in
      Threads.count = count
      return call.gradient()
    }
    for other in results.dropFirst() {
      #expect(other.query.isIdentical(to: results[0].query))
      #expect(other.keys[0].key.isIdentical(to: results[0].keys[0].key))
      #expect(other.keys[0].value.isIdentical(to: results[0].keys[0].value))
    }
  }

  private func check(_ call: Call, _ gradient: AttentionGradient) {
    let expected = call.reference(), tolerance = call.precision == .f32 ? Self.tolerance : Self.roundedTolerance
    expectClose(gradient.query, expected.query, tolerance, "query")
    expectClose(gradient.keys[0].key, expected.key, tolerance, "key")
    expectClose(gradient.keys[0].value, expected.value, tolerance, "value")
  }
}

/// Operands of attention, transposed views as projections give them, and a gradient of its output.
private struct Call {
  var query, key, value, direction: Tensor
  var mask: Tensor?
  var scale: Float?
  var precision = AttentionPrecision.f32

  init(_ size: AttentionGradientTests.Size) {
    func heads(_ tokens: Int, _ dim: Int, _ seed: UInt64) -> Tensor {
      Naive.tensor(size.batch, tokens, size.heads, dim, seed: seed).transposed(1, 2)
    }
    let valueDim = size.valueDim ?? size.headDim
    query = heads(size.queries, size.headDim, 1)
    key = heads(size.keys, size.headDim, 2)
    value = heads(size.keys, valueDim, 3)
    direction = heads(size.queries, valueDim, 4)
  }

  func output() -> AttentionOutput {
    attentionWithLogSumExp(
      queries: [query], keys: [AttentionKeys(key, value)], mask: mask, scale: scale, precision: precision)[0]
  }

  func gradient() -> AttentionGradient {
    attentionVJP(
      query: query, keys: [AttentionKeys(key, value)], output: output(), gradient: direction, mask: mask, scale: scale,
      precision: precision)
  }

  func reference() -> (query: Tensor, key: Tensor, value: Tensor) {
    let q = query.converted(to: .f64), k = key.converted(to: .f64), v = value.converted(to: .f64)
    let dout = direction.converted(to: .f64)
    let scale = scale ?? 1 / Float(q.shape[3]).squareRoot()
    var logits = Tensor.matmul(q, k.transposed()) * scale
    if let mask {
      let added =
        mask.dtype == .bool ? Tensor(zeros: mask.shape).filled(where: mask.logicalNot(), with: -.infinity) : mask
      logits = logits + added.converted(to: .f64)
    }
    let raw = logits.softmax(-1)
    // A row that sees nothing is not a number in softmax, and zeros in attention.
    let p = raw.filled(where: raw.isNaN(), with: 0)
    let dp = Tensor.matmul(dout, v.transposed())
    let ds = p * (dp - (p * dp).sum([-1], keepDims: true)) * scale
    return (
      Tensor.matmul(ds, k), Tensor.matmul(ds.transposed(), q), Tensor.matmul(p.transposed(), dout)
    )
  }
}
