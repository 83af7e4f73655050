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
  public let blocks: [BlockPattern]?
  public let passes: PassFilter
  /// The tokens of the key stream that make up a concept, whose maps are averaged; nil for a map of every token.
  public let concepts: [(name: String, tokens: [Int])]?
  /// Tokens of the key stream whose maps add up to 1 at every image token once all is averaged: maps are then shares among
  /// them. nil for attention weights as they are.
  public let sharesAmong: Range<Int>?
  /// Maps kept beside the average.
  public let keeping: Set<KeptMaps>
  private var accumulator: SaliencyAccumulator
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?

  /// Image rows at once: bounds the memory of the probabilities.
  private static let rows = 256

  public init(
    _ key: StreamID = .text, _ quantity: Quantity = .probabilities, concepts: [(name: String, tokens: [Int])]? = nil,
    in blocks: [BlockPattern]? = nil, passes: PassFilter = .conditional, sharesAmong: Range<Int>? = nil,
    keeping: Set<KeptMaps> = []
  ) {
    self.key = key
    self.quantity = quantity
    self.concepts = concepts
    self.blocks = blocks
    self.passes = passes
    self.sharesAmong = sharesAmong
    self.keeping = keeping
    accumulator = SaliencyAccumulator(keeping: keeping)
  }

  /// One map per concept, else one per token, named by its number.
  public func maps() throws(SaliencyError) -> SaliencyMaps {
    guard sharesAmong != nil else { return try accumulator.maps(concepts?.map(\.name), softmaxLast: false) }
    // The last map is that of all these tokens together.
    let all = try accumulator.maps(concepts.map { $0.map(\.name) + ["all"] }, softmaxLast: false)
    let count = all.concepts.count - 1
    return all.mapValues(concepts: Array(all.concepts.prefix(count))) {
      $0.narrow(1, from: 0, count: count) / ($0.narrow(1, from: count, count: 1) + 1e-6)
    }
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if let concepts, concepts.isEmpty || concepts.contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    accumulator = earlier ?? SaliencyAccumulator(keeping: keeping)
    earlier = nil
    for pattern in blocks ?? ["\(model.textFamily)"] { hooks.observe(pattern, in: passes, add) }
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    guard let image = block[.image], block[key] != nil, let columns = block.columns(of: key, readBy: .image)
    else { return }
    let count = image.query.shape[2]
    let parts = stride(from: 0, to: count, by: Self.rows).map {
      scores(block, columns, rows: $0..<min(count, $0 + Self.rows))
    }
    let perHead = keeping.needHeads ? concatenated(parts.compactMap(\.perHead), axis: -1) : nil
    accumulator.add(
      SaliencyScores(together: concatenated(parts.map(\.together), axis: -1), perHead: perHead),
      layer: block.id.layer, step: pass.step, grid: pass.grid)
  }

  /// Scores of some image tokens.
  private func scores(_ block: BlockView, _ columns: Range<Int>, rows: Range<Int>) -> SaliencyScores {
    let perToken: Tensor  // [batch, heads, rows, keyTokens]
    switch quantity {
    case .logits: perToken = block.logits(query: .image, key: key, rows: rows)
    case .probabilities:
      perToken = block.probabilities(query: .image, rows: rows, columns: columns)
    }
    var perConcept = concepts.map { stacked($0.map { perToken.take(-1, $0.tokens).mean(-1) }, axis: -1) } ?? perToken
    if let sharesAmong {
      let all = perToken.narrow(-1, from: sharesAmong.lowerBound, count: sharesAmong.count).sum(-1, keepDims: true)
      perConcept = concatenated([perConcept, all], axis: -1)
    }
    return SaliencyScores(
      together: perConcept.mean(1).transposed(),
      perHead: keeping.needHeads ? perConcept.transposed() : nil)
  }
}

extension RawCrossAttention: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws {
    earlier = try SaliencyAccumulator(keeping: keeping, sums)
  }
}
