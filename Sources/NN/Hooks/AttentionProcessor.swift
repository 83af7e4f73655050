import Tensor

/// What an interpretability method implements. Every requirement has a default: write one or two.
///
/// Processors run in list order, phase by phase. At a site: every `rewrite`, each seeing what the one before
/// returned, then every `read`. Around the attention outputs of a block: every `edit`, then the `attentionOutput`
/// sites, then every `observe`. So whoever only looks sees the final value, whatever its place in the list.
public protocol AttentionProcessor: AnyObject {
  /// Shown in reports and errors.
  var name: String { get }

  /// Called when a run begins, before anything else is asked: a look at the model's blocks and sites.
  func install(on model: any StreamModel)

  /// Sites this processor was told to use. One that matches nothing throws when the processor is installed; one
  /// whose sites never fired throws when the run ends.
  var patterns: [SitePattern] { get }

  /// Streams this processor may add, so that their sites are known.
  var riderIDs: [StreamID] { get }

  /// Streams to add to this pass.
  func riders(for pass: Pass) -> [Rider]

  /// Whether `rewrite` and `read` are called at this site. Asked once, when the processor is installed.
  func wants(_ site: Site) -> Bool

  /// Whether `edit` and `observe` are called at this block. Asked once, when the processor is installed.
  func watches(_ block: BlockID) -> Bool

  /// Whether `attend` is called at this block. Asked once, when the processor is installed.
  func replacesAttention(_ block: BlockID) -> Bool

  /// The tensor to go on with, of the shape that `Site.Point` gives.
  func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor

  /// Looks at a tensor after every `rewrite`.
  func read(_ tensor: Tensor, at site: Site, _ pass: Pass)

  /// Computes one attention call of a block, or changes what goes into or comes out of `next`, the default.
  ///
  /// - Returns: one output per query of the call, `[batch, heads, tokens, headDim]`
  func attend(_ call: AttentionCall, _ pass: Pass, next: (AttentionCall) -> [Tensor]) -> [Tensor]

  /// Changes attention outputs with all streams of a block in view.
  func edit(_ block: inout BlockView, _ pass: Pass)

  /// Looks at all streams of a block after every `edit`.
  func observe(_ block: BlockView, _ pass: Pass)
}

extension AttentionProcessor {
  public var name: String { String(describing: Self.self) }
  public func install(on model: any StreamModel) {}
  public var patterns: [SitePattern] { [] }
  public var riderIDs: [StreamID] { [] }
  public func riders(for pass: Pass) -> [Rider] { [] }
  public func wants(_ site: Site) -> Bool { patterns.contains { $0.matches(site) } }
  public func watches(_ block: BlockID) -> Bool { false }
  public func replacesAttention(_ block: BlockID) -> Bool { false }
  public func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor { tensor }
  public func read(_ tensor: Tensor, at site: Site, _ pass: Pass) {}
  public func attend(_ call: AttentionCall, _ pass: Pass, next: (AttentionCall) -> [Tensor]) -> [Tensor] { next(call) }
  public func edit(_ block: inout BlockView, _ pass: Pass) {}
  public func observe(_ block: BlockView, _ pass: Pass) {}
}

/// One attention computation of a block: the streams that see the same keys go together.
public struct AttentionCall: Sendable {
  public struct Query: Sendable {
    public let stream: StreamID
    /// Rotated, `[batch, heads, tokens, headDim]`.
    public var tensor: Tensor
  }
  public struct Source: Sendable {
    public let stream: StreamID
    /// Rotated key and value, `[batch, heads, tokens, headDim]`.
    public var key, value: Tensor
  }

  public let block: BlockID
  public var queries: [Query]
  /// What the queries see, in the order of the streams; empty when they see nothing.
  public var sources: [Source]
  /// nil: `1 / sqrt(headDim)`.
  public var scale: Float?
  public var precision: AttentionPrecision
}

extension AttentionCall {
  /// The attention itself, which `attend` is given as `next`.
  ///
  /// - Returns: one output per query, `[batch, heads, tokens, headDim]`
  func compute() -> [Tensor] {
    scaledDotProductAttention(
      queries: queries.map(\.tensor), keys: sources.map { AttentionKeys($0.key, $0.value) }, scale: scale,
      precision: precision)
  }
}
