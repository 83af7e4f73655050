import Tensor

/// Tokens on their way through the blocks: a native stream of the model, or a rider.
public struct Stream: Sendable {
  public let id: StreamID
  /// The residual stream, `[batch, tokens, dim]`.
  public var tokens: Tensor
  /// What the adaptive norms are told, `[batch, dim]`.
  public var conditioning: Tensor
  /// Positions; nil for tokens that are not rotated.
  public var rotary: RotaryTable?
  /// The native stream whose half of every block processes these tokens; its own id for a native stream.
  public let processedAs: StreamID
  /// The streams whose keys and values its queries see.
  public var reads: Set<StreamID>
  /// The block families it travels through; nil for all.
  public var families: Set<String>?
  /// Which of its tokens others may see, `bool`, `[batch or 1, tokens]`: false for padding. nil for all.
  public var keyMask: Tensor?
  /// What the model adds to the logits of its queries on its own keys, `[batch or 1, heads or 1, tokens, tokens]`, such as T5's
  /// relative positions; nil for nothing.
  public var ownBias: Tensor?

  public init(
    _ id: StreamID, tokens: Tensor, conditioning: Tensor, rotary: RotaryTable? = nil, processedAs: StreamID? = nil,
    reads: Set<StreamID>, families: Set<String>? = nil, keyMask: Tensor? = nil, ownBias: Tensor? = nil
  ) {
    self.id = id
    self.tokens = tokens
    self.conditioning = conditioning
    self.rotary = rotary
    self.processedAs = processedAs ?? id
    self.reads = reads
    self.families = families
    self.keyMask = keyMask
    self.ownBias = ownBias
  }

  /// A rider's stream.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, tokens, dim]`, of one picture where all share them
  ///   - batch: pictures
  public init(_ rider: Rider, tokens: Tensor, conditioning: Tensor, rotary: RotaryTable? = nil, batch: Int) {
    self.init(
      rider.id, tokens: tokens.broadcast(to: [batch] + tokens.shape.dropFirst()).contiguous(),
      conditioning: conditioning, rotary: rotary, processedAs: rider.processedAs, reads: rider.reads,
      families: rider.families)
  }

}

/// A stream that a processor adds to a pass: data only, the model knows how to turn it into tokens.
///
/// Nobody else reads a rider, so what the model computes for its own streams stays bit-identical.
public struct Rider: Sendable {
  public let id: StreamID
  /// The native stream whose half of every block processes it.
  public var processedAs: StreamID
  /// In the space of that stream's encoder (before the model's own embedder), `[batch or 1, tokens, encoderDim]`.
  public var embeddings: Tensor
  /// Pooled text vector for the conditioning, `[batch or 1, pooledDim]`; nil for the model's choice for riders
  /// (FLUX: zeros, as ConceptAttention's authors do; SD3: the prompt's).
  public var pooled: Tensor?
  public var reads: Set<StreamID>
  public var families: Set<String>?

  public init(
    _ id: StreamID, processedAs: StreamID = .text, embeddings: Tensor, pooled: Tensor? = nil, reads: Set<StreamID>,
    families: Set<String>? = nil
  ) {
    self.id = id
    self.processedAs = processedAs
    self.embeddings = embeddings
    self.pooled = pooled
    self.reads = reads
    self.families = families
  }
}

extension [Stream] {
  /// A stream that must be there: every model has the streams it starts with.
  public subscript(id: StreamID) -> Stream {
    guard let stream = first(where: { $0.id == id }) else {
      tensorFailure("streams: no '\(id)' among \(map(\.id.name))")
    }
    return stream
  }
}
