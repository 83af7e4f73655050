import NN
import Tensor

/// Cross-attention maps as DAAM makes them: how much does each image token look at each prompt token (or each token of
/// another stream)? Averaged over layers, steps and heads.
///
/// Source: arXiv 2210.04885, for joint attention.
public final class RawCrossAttention: SaliencyMethod {
  public enum Quantity: String, Sendable, CaseIterable {
    /// Scaled products of image queries and keys, after rotation.
    case logits
    /// Attention weights over all the keys image tokens see.
    case probabilities
  }

  /// The stream that is looked at.
  public let key: StreamID
  public let quantity: Quantity
  /// Blocks to average over; nil for all in which text has weights of its own.
  public let layers: BlockPattern?
  /// The tokens of the key stream that make up a concept, whose maps are averaged; nil for a map of every token.
  public let concepts: [(name: String, tokens: [Int])]?
  private var mean = RunningMean()
  private var grid: TokenGrid?

  /// Image rows at once: bounds the memory of the probabilities.
  private static let rows = 256

  /// - Parameter layers: blocks to average over, such as `double.2-5`; nil for all in which text has weights of its own
  public init(
    _ key: StreamID = .text, _ quantity: Quantity = .probabilities, concepts: [(name: String, tokens: [Int])]? = nil,
    layers: BlockPattern? = nil
  ) {
    self.key = key
    self.quantity = quantity
    self.concepts = concepts
    self.layers = layers
  }

  /// Of each token, `[batch, keyTokens, imageTokens]`; nil before the first pass.
  public var tokenMaps: Tensor? { mean.value }

  /// One map per concept, else one per token, named by its number.
  public func maps() throws(SaliencyError) -> SaliencyMaps {
    guard let tokens = tokenMaps, let grid else { throw .nothingRecorded }
    let concepts = concepts ?? (0..<tokens.shape[1]).map { ("\($0)", [$0]) }
    let average = concepts.map { tokens.take(1, $0.tokens).mean(1) }
    return SaliencyMaps(
      concepts: concepts.map(\.name), grid: grid,
      average: stacked(average, axis: 1).unflattened(-1, grid.frames, grid.height, grid.width))
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if let concepts, concepts.isEmpty || concepts.contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    (mean, grid) = (RunningMean(), nil)
    hooks.observe(layers ?? "\(model.textFamily)") { block, pass in
      guard let image = block[.image], let keys = block[self.key] else { return }
      let count = image.query.shape[2]
      let parts = stride(from: 0, to: count, by: Self.rows).map {
        self.weights(block, keys, rows: $0..<min(count, $0 + Self.rows))
      }
      self.mean.add(concatenated(parts, axis: -1))
      self.grid = pass.grid
    }
  }

  /// - Returns: `[batch, keyTokens, rows]`
  private func weights(_ block: BlockView, _ keys: BlockView.StreamView, rows: Range<Int>) -> Tensor {
    switch quantity {
    case .logits: return block.logits(query: .image, key: key, rows: rows).mean(1).transposed()
    case .probabilities:
      let read = block.streams.filter { block[.image]?.reads.contains($0.id) ?? false }
      let start = read.prefix { $0.id != key }.reduce(0) { $0 + $1.key.shape[2] }
      return block.probabilities(query: .image, rows: rows)
        .narrow(-1, from: start, count: keys.key.shape[2]).mean(1).transposed()
    }
  }
}
