/// Roughly how many bytes tensors hold at most while a request is met, in either of its two phases. Weights are not
/// counted: they are mapped from their files, and the system can drop their pages.
public struct ActivationEstimate: Sendable, Equatable {
  /// While the transformer runs.
  public let transformer: Int
  /// While latents become pictures, which is done one picture at a time.
  public let decoding: Int

  public var peak: Int { max(transformer, decoding) }
}
