import Tensor

/// A block in which several streams attend together.
public protocol JointBlock: Sendable {
  var halves: [any JointBlockHalf] { get }
  /// Index into `halves` for tokens processed as a native stream.
  func half(for stream: StreamID) -> Int
  /// How attention multiplies: `.bf16` where the weights are.
  var attentionPrecision: AttentionPrecision { get }
  /// What the logits are multiplied by; nil, unless given, for `1 / sqrt(headDim)`.
  var attentionScale: Float? { get }
  /// Whether token `i` sees tokens `0 ... i` only; false unless given. For blocks with one stream.
  var isCausal: Bool { get }
}

extension JointBlock {
  public var attentionScale: Float? { nil }
  public var isCausal: Bool { false }
}

/// One modality's half of a block, cut at the attention call. Streams that share its weights come together, so that
/// a weight is read once.
public protocol JointBlockHalf: Sendable {
  /// What `update` needs from `project`: modulations, a parallel MLP branch.
  associatedtype Saved = Void

  /// From the residual stream to queries, keys and values: adaptive norm, projections, QK-norm.
  ///
  /// - Returns: one projection per input
  func project(_ inputs: [HalfInput]) -> [Projection<Saved>]

  /// From the attention output back to the residual stream: output projection, gate, MLP.
  ///
  /// - Returns: new tokens per input, `[batch, tokens, dim]`; nil when this half ends at the attention (the text
  ///   half of SD3's last block)
  func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]?

  /// The layer that takes the attention output, heads side by side, to the width of the residual: what a head gives is its
  /// share of the product. They may be the first of its inputs. nil, unless given, where there is none.
  var attentionProjection: Linear? { get }
}

extension JointBlockHalf {
  public var attentionProjection: Linear? { nil }
}

/// What a stream brings to the first half of a block.
public struct HalfInput {
  /// `[batch, tokens, dim]`
  public let tokens: Tensor
  /// `[batch, dim]`
  public let conditioning: Tensor
  /// The native stream it is processed as, for halves that serve several.
  public let processedAs: StreamID
  public let tap: Tap

  public init(tokens: Tensor, conditioning: Tensor, processedAs: StreamID, tap: Tap) {
    self.tokens = tokens
    self.conditioning = conditioning
    self.processedAs = processedAs
    self.tap = tap
  }
}

/// Queries, keys and values of one stream, each `[batch, heads, tokens, headDim]`, after QK-norm, before rotation.
///
/// What a stream does not have in a block has no tokens: the prompt in a block of cross-attention asks nothing
/// (`init(key:value:)`), and image tokens are asked nothing (`init(query:)`).
public struct Projection<Saved> {
  public var query, key, value: Tensor
  public var saved: Saved

  public init(query: Tensor, key: Tensor, value: Tensor, saved: Saved) {
    self.query = query
    self.key = key
    self.value = value
    self.saved = saved
  }
}

extension Projection: Sendable where Saved: Sendable {}

extension Projection where Saved == Void {
  public init(query: Tensor, key: Tensor, value: Tensor) {
    self.init(query: query, key: key, value: value, saved: ())
  }

  /// Of a stream that others read and that reads nobody: its attention output has no tokens.
  public init(key: Tensor, value: Tensor) { self.init(key: key, value: value, saved: ()) }

  /// Of a stream that reads others and that nobody reads, itself included.
  public init(query: Tensor) { self.init(query: query, saved: ()) }
}

extension Projection {
  /// Of a stream that others read and that reads nobody: its attention output has no tokens.
  public init(key: Tensor, value: Tensor, saved: Saved) {
    self.init(query: key.narrow(2, from: 0, count: 0), key: key, value: value, saved: saved)
  }

  /// Of a stream that reads others and that nobody reads, itself included.
  public init(query: Tensor, saved: Saved) {
    let none = query.narrow(2, from: 0, count: 0)
    self.init(query: query, key: none, value: none, saved: saved)
  }
}

/// What a stream brings to the second half of a block.
public struct UpdateInput<Saved> {
  /// The residual stream as it entered, `[batch, tokens, dim]`
  public let tokens: Tensor
  /// `[batch, heads, tokens, headDim]`
  public let attention: Tensor
  public let saved: Saved
  /// The native stream it is processed as.
  public let processedAs: StreamID
  public let tap: Tap

  public init(tokens: Tensor, attention: Tensor, saved: Saved, processedAs: StreamID, tap: Tap) {
    self.tokens = tokens
    self.attention = attention
    self.saved = saved
    self.processedAs = processedAs
    self.tap = tap
  }

  /// The attention output with its heads side by side, `[batch, tokens, heads * headDim]`.
  public var mergedAttention: Tensor { attention.mergedHeads }
}
