import NN
import Tensor

/// Cross-attention maps as ConceptAttention's paper defines them for its baseline: what words of the prompt look at, a softmax
/// over the image tokens alone, averaged over heads, layers and steps. `RawCrossAttention` goes the other way.
///
/// Source: arXiv 2502.04320 §5.1, softmax(q_p k_xᵀ).
public final class PromptCrossAttention: SaliencyMethod {
  /// The tokens of the prompt that make up a concept, whose maps are averaged.
  public let concepts: [(name: String, tokens: [Int])]
  /// Blocks to average over; nil for all in which text has weights of its own.
  public let blocks: [BlockPattern]?
  public let passes: PassFilter
  private var accumulator = SaliencyAccumulator(keeping: [])
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?

  public init(
    _ concepts: [(name: String, tokens: [Int])], in blocks: [BlockPattern]? = nil, passes: PassFilter = .conditional
  ) {
    self.concepts = concepts
    self.blocks = blocks
    self.passes = passes
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    try accumulator.maps(concepts.map(\.name), softmaxLast: false)
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if concepts.isEmpty || concepts.contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    accumulator = earlier ?? SaliencyAccumulator(keeping: [])
    earlier = nil
    for pattern in blocks ?? ["\(model.textFamily)"] { hooks.observe(pattern, in: passes, add) }
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    guard block[.image] != nil, block[.text] != nil else { return }
    let maps = concepts.map { concept in
      let rows = concept.tokens.map { block.probabilities(query: .text, keys: [.image], rows: $0..<$0 + 1) }
      return concatenated(rows, axis: 2).mean(2).mean(1)  // [batch, imageTokens]
    }
    accumulator.add(
      SaliencyScores(together: stacked(maps, axis: 1)), layer: block.id.layer, step: pass.step, grid: pass.grid)
  }
}

extension PromptCrossAttention: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws { earlier = try SaliencyAccumulator(keeping: [], sums) }
}
