import NN
import Tensor

/// Cross-attention maps as DAAM makes them: how much does each image token look at each prompt token (or each token of
/// another stream)?
///
/// Source: arXiv 2210.04885, for joint attention.
public final class RawCrossAttention: AttentionProcessor {
  public enum Quantity: Sendable {
    /// Scaled products of image queries and keys, after rotation.
    case logits
    /// Attention weights over all the keys image tokens see.
    case probabilities
  }

  public let key: StreamID
  public let quantity: Quantity
  /// Blocks to average over; nil for all in which text has weights of its own.
  public let layers: SitePattern?
  private var family = ""
  private var sum: Tensor?
  private var count = 0

  /// Image rows at once: bounds the memory of the probabilities.
  private static let rows = 256

  /// - Parameter layers: blocks to average over, such as `double.2-5`; nil for all in which text has weights of its own
  public init(_ key: StreamID = .text, _ quantity: Quantity = .probabilities, layers: SitePattern? = nil) {
    self.key = key
    self.quantity = quantity
    self.layers = layers
  }

  /// The mean over layers, steps and heads, `[batch, keyTokens, imageTokens]`; nil before the first pass.
  public var maps: Tensor? { sum.map { $0 / Float(count) } }

  private var chosen: SitePattern { layers ?? SitePattern("\(family).*") }

  public func install(on model: any StreamModel) { family = model.textFamily }
  public var patterns: [SitePattern] { [chosen] }
  public func wants(_ site: Site) -> Bool { false }
  public func watches(_ block: BlockID) -> Bool { chosen.matches(Site(block, .image, .query)) }

  public func observe(_ block: BlockView, _ pass: Pass) {
    guard pass.branch == .conditional, let keys = block[key], let image = block[.image] else { return }
    let total = image.query.shape[2], wanted = keys.key.shape[2]
    let parts = stride(from: 0, to: total, by: Self.rows).map { start in
      let rows = start..<min(total, start + Self.rows)
      let weights =
        quantity == .logits
        ? block.logits(query: .image, key: key, rows: rows)
        : block.probabilities(query: .image, keys: [key, key == .text ? .image : .text], rows: rows)
          .narrow(-1, from: 0, count: wanted)
      return weights.mean(1).transposed()  // [batch, keyTokens, rows]
    }
    let map = concatenated(parts, axis: -1)
    sum = sum.map { $0 + map } ?? map
    count += 1
  }
}
