import Tensor

/// Hands tensors of one stream in one block to the processors that want them. Does nothing where nobody does.
public struct Tap {
  let run: HookRun?
  let hooks: BlockHooks?
  let block: BlockID
  let stream: StreamID
  private var own: ((Site.Point, Tensor) -> Tensor)?

  init(run: HookRun?, hooks: BlockHooks?, block: BlockID, stream: StreamID) {
    (self.run, self.hooks, self.block, self.stream) = (run, hooks, block, stream)
  }

  /// A tap without a run, to try a half of a block alone: hands every point to a function, and goes on with what it
  /// returns.
  ///
  /// - Parameter visit: nil for nothing to happen
  public init(_ block: BlockID, _ stream: StreamID, _ visit: ((Site.Point, Tensor) -> Tensor)? = nil) {
    self.init(run: nil, hooks: nil, block: block, stream: stream)
    own = visit
  }

  /// Passes `tensor` through the processors at this point.
  public func callAsFunction(_ point: Site.Point, _ tensor: Tensor) -> Tensor {
    if let own { return own(point, tensor) }
    guard let run, let wanting = hooks?.sites[Site(block, stream, point)] else { return tensor }
    return run.visit(Site(block, stream, point), tensor, wanting)
  }

  /// A second attention of this stream among its own tokens, through the processors that change it, and through its site.
  ///
  /// - Parameter projection: query, key and value, each `[batch, heads, tokens, headDim]`
  /// - Returns: `[batch, heads, tokens, headDim]`
  public func dualAttention<Saved>(_ projection: Projection<Saved>, precision: AttentionPrecision) -> Tensor {
    let call = AttentionCall(
      block: block, part: .dual, queries: [.init(stream: stream, tensor: projection.query)],
      sources: [.init(stream: stream, key: projection.key, value: projection.value)], precision: precision)
    var computed = call
    let attended = run?.attend(call, hooks?.replacements[.dual]?[...] ?? [], computed: &computed) ?? call.compute()
    run?.log?.attended(call, computed, attended, hooks?.replacements[.dual])
    let output = self(.dualAttentionOutput, attended[0])
    if let run, let observers = hooks?.dualObservers, !observers.isEmpty {
      let view = BlockView.StreamView(
        id: stream, reads: [stream], query: projection.query, key: projection.key, value: projection.value,
        rotatedQuery: projection.query, rotatedKey: projection.key, output: output, rotary: nil, projection: nil,
        call: computed)
      run.observe(BlockView(block, streams: [view]), observers)
    }
    return output
  }

  /// Whether anybody wants this point: lets a block fuse past it when nobody does.
  public func wants(_ point: Site.Point) -> Bool {
    own != nil || hooks?.sites[Site(block, stream, point)] != nil
  }
}
