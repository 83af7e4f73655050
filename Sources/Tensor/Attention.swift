import CKernels

/// How attention multiplies. Sums, softmax and the running output are `f32` either way.
public enum AttentionPrecision: Sendable, Hashable, CaseIterable {
  /// Operands as they are, widened to `f32`.
  case f32
  /// Operands may be rounded to `bf16` where the instruction set gains from it (`avx512bf16`, `amx`) and
  /// `ComputePrecision.current` allows it; elsewhere as `.f32`.
  case bf16
}

/// The keys and values of one token stream: `[batch, heads, tokens, headDim]` and `[batch, heads, tokens, valueDim]`.
///
/// `batch` and `heads` of extent 1 serve every batch entry and every query head.
public struct AttentionKeys: Sendable {
  public var key, value: Tensor
  /// What the logits of these keys are multiplied by, before any mask.
  public var logitFactor: Float = 1
  /// Masks of these keys alone, each of which broadcasts to `[batch, heads, all queries, tokens]`: `bool` (true: may attend)
  /// or a float, added to the logits. All apply; each is read where it lies, so that a mask is never spread out.
  public var masks: [Tensor] = []

  public init(_ key: Tensor, _ value: Tensor) {
    self.key = key
    self.value = value
  }
}

/// `softmax(scale · query keyᵀ + mask) value`, without the score matrix in memory.
///
/// - Parameters:
///   - query: `[batch, heads, queries, headDim]`, `f32`, `bf16` or `f16`, any strides
///   - key: `[batch, heads, keys, headDim]`; `batch` and `heads` may be 1, for all
///   - value: `[batch, heads, keys, valueDim]`; likewise
///   - mask: broadcasts to `[batch, heads, queries, keys]`: `bool` (true: may attend) or a float, added to the logits
///   - causal: query `i` sees keys `0 ... i`, also where their numbers differ; with `mask`, both apply
///   - scale: `1 / √headDim` unless given
///   - output: `f32` or `bf16`
/// - Returns: `[batch, heads, queries, valueDim]`, a view of memory laid out `[batch, queries, heads, valueDim]`, so
///   that merging the heads costs nothing. A query that may attend to nothing gets zeros.
///
/// A row's result does not depend, to the bit, on the number of threads or on the other queries of the call.
///
/// Source: `torch.nn.functional.scaled_dot_product_attention`; the online softmax is FlashAttention-2's,
/// arXiv 2307.08691 §3.1.
public func scaledDotProductAttention(
  query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Float? = nil,
  precision: AttentionPrecision = .f32, output: DType = .f32
) -> Tensor {
  scaledDotProductAttention(
    queries: [query], keys: [AttentionKeys(key, value)], mask: mask, causal: causal, scale: scale,
    precision: precision, output: output)[0]
}

/// Attention of several query streams to several key streams: as if the streams were concatenated along the token
/// axis, to the bit, without copying them together.
///
/// - Parameters:
///   - queries: each `[batch, heads, tokens, headDim]`
///   - keys: in the order of concatenation
///   - mask: broadcasts to `[batch, heads, all queries, all keys]`
/// - Returns: one output for each query stream, `[batch, heads, tokens, valueDim]`, each in memory of its own
public func scaledDotProductAttention(
  queries: [Tensor], keys: [AttentionKeys], mask: Tensor? = nil, causal: Bool = false, scale: Float? = nil,
  precision: AttentionPrecision = .f32, output: DType = .f32
) -> [Tensor] {
  let call = KernelAttention(
    "scaledDotProductAttention", queries, keys, mask: mask, causal: causal, scale: scale, precision: precision)
  return call.attend(output: output, logSumExp: false).map(\.output)
}

/// What attention yields for one query stream, with the softmax's normaliser.
public struct AttentionOutput: Sendable {
  /// `[batch, heads, queries, valueDim]`
  public let output: Tensor
  /// `log Σ exp(logit)` over the keys, `[batch, heads, queries]`; -infinity for a query that may attend to nothing.
  public let logSumExp: Tensor
}

/// Attention together with the log-sum-exp of every query's logits, which lets results over disjoint sets of keys be
/// combined, and probabilities be worked out from logits. Parameters as `scaledDotProductAttention`.
public func attentionWithLogSumExp(
  query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Float? = nil,
  precision: AttentionPrecision = .f32, output: DType = .f32
) -> AttentionOutput {
  attentionWithLogSumExp(
    queries: [query], keys: [AttentionKeys(key, value)], mask: mask, causal: causal, scale: scale,
    precision: precision, output: output)[0]
}

/// The form of `attentionWithLogSumExp` for several query and key streams.
public func attentionWithLogSumExp(
  queries: [Tensor], keys: [AttentionKeys], mask: Tensor? = nil, causal: Bool = false, scale: Float? = nil,
  precision: AttentionPrecision = .f32, output: DType = .f32
) -> [AttentionOutput] {
  let call = KernelAttention(
    "attentionWithLogSumExp", queries, keys, mask: mask, causal: causal, scale: scale, precision: precision)
  return call.attend(output: output, logSumExp: true)
}

/// The attention probabilities of chosen queries: `softmax(scale · query keyᵀ + mask)` of those rows.
///
/// - Parameters:
///   - query: `[batch, heads, queries, headDim]`
///   - keys: key streams `[batch, heads, tokens, headDim]`, taken as concatenated
///   - rows: which queries, in the order of the result
///   - columns: which keys to return; the softmax runs over all of them. All unless given
/// - Returns: `[batch, heads, rows, columns]`, `f32`; zeros for a query that may attend to nothing
public func attentionProbabilities(
  query: Tensor, keys: [Tensor], rows: [Int], columns: Range<Int>? = nil, mask: Tensor? = nil, causal: Bool = false,
  scale: Float? = nil, precision: AttentionPrecision = .f32
) -> Tensor {
  attentionProbabilities(
    query: query, keys: keys.map { AttentionKeys($0, $0) }, rows: rows, columns: columns, mask: mask, causal: causal,
    scale: scale, precision: precision)
}

/// The form of `attentionProbabilities` for key streams with factors and masks of their own; values are not looked at.
public func attentionProbabilities(
  query: Tensor, keys: [AttentionKeys], rows: [Int], columns: Range<Int>? = nil, mask: Tensor? = nil,
  causal: Bool = false, scale: Float? = nil, precision: AttentionPrecision = .f32
) -> Tensor {
  let call = KernelAttention(
    "attentionProbabilities", [query], keys, mask: mask, causal: causal, scale: scale, precision: precision,
    needsValues: false)
  return call.weights(rows: rows, columns: columns, logits: false)
}

/// The logits `scale · query keyᵀ + mask` of chosen queries, before the softmax; -infinity where masked.
///
/// Parameters and shapes as `attentionProbabilities`.
public func attentionLogits(
  query: Tensor, keys: [Tensor], rows: [Int], columns: Range<Int>? = nil, mask: Tensor? = nil, causal: Bool = false,
  scale: Float? = nil, precision: AttentionPrecision = .f32
) -> Tensor {
  attentionLogits(
    query: query, keys: keys.map { AttentionKeys($0, $0) }, rows: rows, columns: columns, mask: mask, causal: causal,
    scale: scale, precision: precision)
}

/// The form of `attentionLogits` for key streams with factors and masks of their own; values are not looked at.
public func attentionLogits(
  query: Tensor, keys: [AttentionKeys], rows: [Int], columns: Range<Int>? = nil, mask: Tensor? = nil,
  causal: Bool = false, scale: Float? = nil, precision: AttentionPrecision = .f32
) -> Tensor {
  let call = KernelAttention(
    "attentionLogits", [query], keys, mask: mask, causal: causal, scale: scale, precision: precision,
    needsValues: false)
  return call.weights(rows: rows, columns: columns, logits: true)
}
