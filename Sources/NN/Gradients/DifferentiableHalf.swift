import Tensor

/// A half of a block that a gradient can go back through: the same computation on variables. It is run again, one block at a
/// time, on the way back; the forward pass does not know of it.
///
/// Every site that the half has is visited here too, in the same places.
public protocol DifferentiableHalf: JointBlockHalf {
  /// What `traceUpdate` needs from `traceProject`.
  associatedtype TracedSaved = Void

  /// As `project`, of one stream.
  func traceProject(_ input: TracedInput) -> TracedProjection<TracedSaved>

  /// As `update`, of one stream; nil where this half ends at the attention.
  func traceUpdate(_ input: TracedUpdate<TracedSaved>) -> Variable?
}

/// What a stream brings to the first half of a block: `HalfInput` on variables.
public struct TracedInput {
  /// `[batch, tokens, dim]`
  public let tokens: Variable
  /// `[batch, dim]`
  public let conditioning: Variable
  /// The native stream it is processed as.
  public let processedAs: StreamID
  public let tap: TracedTap

  public init(tokens: Variable, conditioning: Variable, processedAs: StreamID, tap: TracedTap) {
    self.tokens = tokens
    self.conditioning = conditioning
    self.processedAs = processedAs
    self.tap = tap
  }
}

/// `Projection` on variables: each `[batch, heads, tokens, headDim]`, after QK-norm, before rotation.
public struct TracedProjection<Saved> {
  public var query, key, value: Variable
  public var saved: Saved

  public init(query: Variable, key: Variable, value: Variable, saved: Saved) {
    self.query = query
    self.key = key
    self.value = value
    self.saved = saved
  }
}

/// What a stream brings to the second half of a block: `UpdateInput` on variables.
public struct TracedUpdate<Saved> {
  /// The residual stream as it entered, `[batch, tokens, dim]`
  public let tokens: Variable
  /// With its heads side by side, `[batch, tokens, heads * headDim]`
  public let mergedAttention: Variable
  public let saved: Saved
  public let tap: TracedTap

  public init(tokens: Variable, mergedAttention: Variable, saved: Saved, tap: TracedTap) {
    self.tokens = tokens
    self.mergedAttention = mergedAttention
    self.saved = saved
    self.tap = tap
  }
}

/// Hands variables of one stream in one block to whoever asked for gradients there, and puts in what processors left there.
public struct TracedTap {
  let block: BlockID
  let stream: StreamID
  let trace: BlockTrace?

  init(block: BlockID, stream: StreamID, trace: BlockTrace?) {
    (self.block, self.stream, self.trace) = (block, stream, trace)
  }

  /// A tap that does nothing, to try a half of a block alone.
  public init(_ block: BlockID, _ stream: StreamID) { self.init(block: block, stream: stream, trace: nil) }

  public func callAsFunction(_ point: Site.Point, _ variable: Variable) -> Variable {
    trace?.visit(Site(block, stream, point), variable) ?? variable
  }

  /// A second attention of this stream among its own tokens.
  public func dualAttention<Saved>(_ projection: TracedProjection<Saved>) -> Variable {
    let keys = [(stream: stream, key: projection.key, value: projection.value)]
    let output =
      trace?.attended(.dual, stream, projection.query, keys)
      ?? projection.query.attended(to: [(projection.key, projection.value)])
    return self(.dualAttentionOutput, output)
  }
}
