import CKernels

/// One call of the attention kernel: operands checked, broadcast and with a contiguous last axis.
struct KernelAttention {
  let operation: String
  let queries, keys, values: [Tensor]
  let factors: [Float]
  /// Of each key stream, broadcast to `[batch, heads, queries, tokens]`.
  let segmentMasks: [[Tensor]]
  let mask: Tensor?
  let causal: Bool
  let scale: Float
  let precision: AttentionPrecision
  let batch, heads, headDim, queryCount, keyCount: Int

  init(
    _ operation: String, _ queries: [Tensor], _ sources: [AttentionKeys], mask: Tensor?, causal: Bool, scale: Float?,
    precision: AttentionPrecision, needsValues: Bool = true
  ) {
    let keys = sources.map(\.key), values = needsValues ? sources.map(\.value) : []
    guard let first = queries.first, first.rank == 4, first.shape[3] > 0 else {
      tensorFailure("\(operation): query must be [batch, heads, tokens, headDim], found \(queries.map(\.shape))")
    }
    let shape = first.shape
    for query in queries where !Self.serves(query.shape, [shape[0], shape[1], nil, shape[3]], broadcast: false) {
      tensorFailure("\(operation): query shapes \(shape) and \(query.shape) differ in more than their tokens")
    }
    for key in keys where !Self.serves(key.shape, [shape[0], shape[1], nil, shape[3]]) {
      tensorFailure("\(operation): query shape \(shape) and key shape \(key.shape) do not fit")
    }
    for (key, value) in zip(keys, values)
    where !Self.serves(value.shape, [shape[0], shape[1], key.shape[2], values[0].shape.last]) {
      tensorFailure(
        "\(operation): key shape \(key.shape) and value shape \(value.shape) do not fit (query shape \(shape))")
    }
    self.operation = operation
    (batch, heads, headDim) = (shape[0], shape[1], shape[3])
    let queryCount = queries.reduce(0) { $0 + $1.shape[2] }, keyCount = keys.reduce(0) { $0 + $1.shape[2] }
    (self.queryCount, self.keyCount) = (queryCount, keyCount)
    self.queries = Self.uniform(queries, operation)
    self.keys = Self.uniform(keys, operation).map { $0.broadcast(to: [shape[0], shape[1], $0.shape[2], $0.shape[3]]) }
    self.values = Self.uniform(values, operation).map {
      $0.broadcast(to: [shape[0], shape[1], $0.shape[2], $0.shape[3]])
    }
    self.mask = mask.map { Self.readable($0, operation).broadcast(to: [shape[0], shape[1], queryCount, keyCount]) }
    factors = sources.map(\.logitFactor)
    segmentMasks = sources.map { source in
      source.masks.map {
        Self.readable($0, operation).broadcast(to: [shape[0], shape[1], queryCount, source.key.shape[2]])
      }
    }
    self.causal = causal
    self.scale = scale ?? 1 / Float(shape[3]).squareRoot()
    self.precision = precision
  }

  /// How the kernels may form products.
  var products: ck_attention_products {
    let rounds = precision == .bf16 && ComputePrecision.current != .float
    return rounds ? ck_attention_products_bf16 : ck_attention_products_f32
  }

  /// The outputs, and the log-sum-exps if wanted (else empty), of every query stream.
  func attend(output dtype: DType, logSumExp: Bool) -> [AttentionOutput] {
    guard dtype == .f32 || dtype == .bf16 else {
      tensorFailure("\(operation): output \(dtype) is neither f32 nor bf16")
    }
    guard let valueDim = values.first?.shape[3] else {
      tensorFailure("\(operation): no keys for query shapes \(queries.map(\.shape))")
    }
    var outputs = queries.map { Tensor(uninitialized: [batch, $0.shape[2], heads, valueDim], dtype: dtype) }
    var sums = queries.map { Tensor(uninitialized: logSumExp ? [batch, heads, $0.shape[2]] : [0]) }
    let segments = queries.indices.map { index in
      let out = outputs[index].strides
      return ck_attention_queries(
        q: queries[index].rawPointer, out: outputs[index].uniquePointer(),
        lse: logSumExp ? sums[index].freshPointer(as: Float.self) : nil, length: queries[index].shape[2],
        q_batch: queries[index].strides[0], q_head: queries[index].strides[1], q_token: queries[index].strides[2],
        out_batch: out[0], out_head: out[2], out_token: out[1])
    }
    withArguments(segments, output: dtype) { arguments in
      guard ck_attention(Kernels.current.table, &arguments) else { outOfMemory() }
    }
    return zip(outputs, sums).map { AttentionOutput(output: $0.permuted(0, 2, 1, 3), logSumExp: $1) }
  }

  /// Probabilities or logits of chosen rows, `[batch, heads, rows, columns]`.
  func weights(rows: [Int], columns: Range<Int>?, logits: Bool) -> Tensor {
    let columns = columns ?? 0..<keyCount
    if let row = rows.first(where: { !(0..<queryCount).contains($0) }) {
      tensorFailure("\(operation): row \(row) does not exist in query shape \(queries[0].shape)")
    }
    guard columns.lowerBound >= 0, columns.upperBound <= keyCount else {
      tensorFailure("\(operation): columns \(columns) do not exist in key shapes \(keys.map(\.shape))")
    }
    var result = Tensor(uninitialized: [batch, heads, rows.count, columns.count])
    let target = result.freshPointer(as: Float.self)
    let segment = ck_attention_queries(
      q: queries[0].rawPointer, out: nil, lse: nil, length: queryCount, q_batch: queries[0].strides[0],
      q_head: queries[0].strides[1], q_token: queries[0].strides[2], out_batch: 0, out_head: 0, out_token: 0)
    withArguments([segment], output: .f32) { arguments in
      rows.withUnsafeBufferPointer { rows in
        var call = ck_attention_weights_args(
          attention: arguments, rows: rows.baseAddress, row_count: rows.count, first_key: columns.lowerBound,
          key_count: columns.count, logits: logits, out: target)
        guard ck_attention_weights(Kernels.current.table, &call) else { outOfMemory() }
      }
    }
    return result
  }
}

extension KernelAttention {
  private func withArguments(
    _ queries: [ck_attention_queries], output: DType, _ body: (inout ck_attention_args) -> Void
  ) {
    let masks = segmentMasks.flatMap { $0 }.map(Self.segmentMask)
    var segments = keys.indices.map { index in
      let key = keys[index], value = values.isEmpty ? key : values[index]
      return ck_attention_keys(
        k: key.rawPointer, v: value.rawPointer, length: key.shape[2], k_batch: key.strides[0], k_head: key.strides[1],
        k_token: key.strides[2], v_batch: value.strides[0], v_head: value.strides[1], v_token: value.strides[2],
        factor: factors[index], masks: nil, mask_count: segmentMasks[index].count)
    }
    queries.withUnsafeBufferPointer { queries in
      masks.withUnsafeBufferPointer { masks in
        var place = masks.baseAddress
        for index in segments.indices {
          segments[index].masks = place
          place = place.map { $0 + segmentMasks[index].count }
        }
        segments.withUnsafeBufferPointer { segments in
          var arguments = ck_attention_args()
          (arguments.batch, arguments.heads, arguments.head_dim) = (batch, heads, headDim)
          arguments.value_dim = values.first?.shape[3] ?? 0
          (arguments.queries, arguments.query_segments) = (queries.baseAddress, queries.count)
          (arguments.keys, arguments.key_segments) = (segments.baseAddress, segments.count)
          arguments.q_type = Self.type(self.queries)
          arguments.k_type = Self.type(keys)
          arguments.v_type = Self.type(values)
          arguments.out_type = output == .bf16 ? ck_attention_bf16 : ck_attention_f32
          arguments.products = products
          (arguments.scale, arguments.causal) = (scale, causal)
          arguments.masks_segments = !masks.isEmpty || factors.contains { $0 != 1 }
          if let mask {
            arguments.mask_kind = mask.dtype == .bool ? ck_attention_mask_bool : ck_attention_mask_f32
            arguments.mask = mask.rawPointer
            (arguments.mask_batch, arguments.mask_head) = (mask.strides[0], mask.strides[1])
            (arguments.mask_query, arguments.mask_key) = (mask.strides[2], mask.strides[3])
          }
          withExtendedLifetime(self) { body(&arguments) }
        }
      }
    }
  }

  private static func segmentMask(_ mask: Tensor) -> ck_attention_segment_mask {
    ck_attention_segment_mask(
      kind: mask.dtype == .bool ? ck_attention_mask_bool : ck_attention_mask_f32, mask: mask.rawPointer,
      mask_batch: mask.strides[0], mask_head: mask.strides[1], mask_query: mask.strides[2], mask_key: mask.strides[3])
  }

  private func outOfMemory() -> Never {
    tensorFailure("\(operation): no memory, query shapes \(queries.map(\.shape)), key shapes \(keys.map(\.shape))")
  }

  /// Whether a shape fits the expected extents (nil: any); with `broadcast` its first two may be 1.
  private static func serves(_ shape: [Int], _ expected: [Int?], broadcast: Bool = true) -> Bool {
    shape.count == 4
      && shape.indices.allSatisfy { axis in
        expected[axis] == nil || shape[axis] == expected[axis] || (broadcast && axis < 2 && shape[axis] == 1)
      }
  }

  /// All of one element type that the kernel reads, with a contiguous last axis.
  private static func uniform(_ tensors: [Tensor], _ operation: String) -> [Tensor] {
    for tensor in tensors where ![.f32, .bf16, .f16].contains(tensor.dtype) {
      tensorFailure("\(operation): \(tensor.dtype) of shape \(tensor.shape) is none of f32, bf16, f16")
    }
    let mixed = Set(tensors.map(\.dtype)).count > 1
    return tensors.map {
      let tensor = mixed ? $0.converted(to: .f32) : $0
      return tensor.shape[3] == 1 || tensor.strides[3] == 1 ? tensor : tensor.contiguous()
    }
  }

  /// A mask as bytes or `f32`, at an address that fits.
  private static func readable(_ mask: Tensor, _ operation: String) -> Tensor {
    guard mask.dtype == .bool || mask.dtype.isFloatingPoint else {
      tensorFailure("\(operation): mask of shape \(mask.shape) must be bool or float, found \(mask.dtype)")
    }
    let converted = mask.dtype == .bool ? mask : mask.converted(to: .f32)
    return UInt(bitPattern: converted.rawPointer) % UInt(converted.dtype.size) == 0 ? converted : converted.copied()
  }

  private static func type(_ tensors: [Tensor]) -> ck_attention_type {
    switch tensors.first?.dtype {
    case .bf16: ck_attention_bf16
    case .f16: ck_attention_f16
    default: ck_attention_f32
    }
  }
}
