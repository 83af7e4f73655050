import CKernels

/// Gradients of a scalar with respect to what went into attention.
public struct AttentionGradient: Sendable {
  /// `[batch, heads, queries, headDim]`
  public let query: Tensor
  /// With respect to key and value of every stream, in their shapes.
  public let keys: [AttentionKeys]
}

/// Backwards through `attentionWithLogSumExp(queries: [query], keys: keys, …)`: scores are computed again block by block and
/// never stored, with sums in `f32`.
///
/// - Parameters:
///   - query: `[batch, heads, queries, headDim]`
///   - keys: as given to attention, without masks and factors of their own
///   - output: what attention gave
///   - gradient: with respect to the output, of its shape
///   - mask: as given to attention; a constant
///   - scale: `1 / √headDim` unless given
///   - precision: as given to attention; `bf16` is taken by instruction sets that multiply in tiles (`amx`)
///
/// Source: FlashAttention-2, arXiv 2307.08691 §3.1.2.
public func attentionVJP(
  query: Tensor, keys: [AttentionKeys], output: AttentionOutput, gradient: Tensor, mask: Tensor? = nil,
  scale: Float? = nil, precision: AttentionPrecision = .f32
) -> AttentionGradient {
  guard keys.allSatisfy({ $0.masks.isEmpty && $0.logitFactor == 1 }) else {
    tensorFailure("attentionVJP: masks and factors of single key streams; expected one mask for all, and scaled keys")
  }
  let operands = keys.map { AttentionKeys($0.key.converted(to: .f32), $0.value.converted(to: .f32)) }
  let call = KernelAttention(
    "attentionVJP", [query.converted(to: .f32)], operands, mask: mask, causal: false, scale: scale,
    precision: precision)
  output.output.requireGradient(gradient, "attentionVJP")
  return call.vjp(output, gradient.converted(to: .f32), keys)
}

extension KernelAttention {
  /// Keys per split: heads whose keys are divided over threads, in a way that depends on the shape alone, so that the sums'
  /// order does.
  private var splits: Int { max(1, min(32 / max(1, batch * heads), (keyCount + 255) / 256)) }

  fileprivate func vjp(_ output: AttentionOutput, _ gradient: Tensor, _ given: [AttentionKeys]) -> AttentionGradient {
    let splits = splits, valueDim = gradient.shape[3]
    let out = output.output.converted(to: .f32).withContiguousRows(), dout = gradient.withContiguousRows()
    let lse = output.logSumExp.aligned()
    // Tokens outside of heads, as the projections' outputs lie: merging heads then costs nothing.
    let dq = Tensor(uninitialized: [splits, batch, queryCount, heads, headDim])
    let dk = keys.map { Tensor(uninitialized: [batch, $0.shape[2], heads, headDim]).permuted(0, 2, 1, 3) }
    let dv = keys.map { Tensor(uninitialized: [batch, $0.shape[2], heads, valueDim]).permuted(0, 2, 1, 3) }
    let segments = keys.indices.map { index in
      ck_attention_gradient_keys(
        k: keys[index].gradientOperand, v: values[index].gradientOperand, dk: dk[index].gradientOperand,
        dv: dv[index].gradientOperand, length: keys[index].shape[2])
    }
    withExtendedLifetime((self, out, dout, lse, dq, dk, dv)) {
      segments.withUnsafeBufferPointer { segments in
        var arguments = ck_attention_gradient_args()
        (arguments.batch, arguments.heads, arguments.queries) = (batch, heads, queryCount)
        (arguments.head_dim, arguments.value_dim) = (headDim, valueDim)
        arguments.q = queries[0].gradientOperand
        (arguments.out, arguments.dout) = (out.gradientOperand, dout.gradientOperand)
        arguments.dq = dq[0].permuted(0, 2, 1, 3).gradientOperand
        (arguments.splits, arguments.dq_split) = (splits, dq.strides[0])
        arguments.lse = lse.gradientPointer
        (arguments.keys, arguments.key_segments) = (segments.baseAddress, segments.count)
        (arguments.products, arguments.scale) = (products, scale)
        if let mask {
          arguments.mask_kind = mask.dtype == .bool ? ck_attention_mask_bool : ck_attention_mask_f32
          arguments.mask = mask.rawPointer
          (arguments.mask_batch, arguments.mask_head) = (mask.strides[0], mask.strides[1])
          (arguments.mask_query, arguments.mask_key) = (mask.strides[2], mask.strides[3])
        }
        guard ck_attention_gradient(Kernels.current.table, &arguments) else {
          tensorFailure("\(operation): no memory, query shape \(queries[0].shape)")
        }
      }
    }
    return AttentionGradient(
      query: (splits == 1 ? dq[0] : dq.sum(0)).permuted(0, 2, 1, 3),
      keys: given.indices.map { index in
        AttentionKeys(dk[index].summed(to: given[index].key.shape), dv[index].summed(to: given[index].value.shape))
      })
  }
}

extension Tensor {
  /// The sum over the axes along which a tensor of this shape had been broadcast: the gradient of broadcasting.
  ///
  /// - Parameter shape: broadcasts to this tensor's
  public func summed(to shape: [Int]) -> Tensor {
    guard rank >= shape.count, Tensor.broadcastShape(shape, self.shape, "summed") == self.shape else {
      tensorFailure("summed: shape \(shape) does not broadcast to \(self.shape)")
    }
    if shape == self.shape { return self }
    let lead = rank - shape.count
    let axes = self.shape.indices.filter { $0 < lead || (shape[$0 - lead] == 1 && self.shape[$0] != 1) }
    return axes.isEmpty ? reshaped(shape) : sum(axes, keepDims: true).reshaped(shape)
  }

  fileprivate var gradientOperand: ck_attention_operand {
    ck_attention_operand(
      base: UnsafeMutablePointer(mutating: gradientPointer), batch: strides[0], head: strides[1], token: strides[2])
  }
}
