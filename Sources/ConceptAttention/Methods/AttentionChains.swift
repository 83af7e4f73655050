import NN
import Tensor

/// Maps of words of the prompt by following attention for several steps: from a word to the tokens it looks at, to those that
/// they look at. One step is the word's own attention; with two and more, things come together that belong together.
///
/// A concept's state starts at its tokens, and `bounces` times is multiplied by the attention matrix of a block,
/// `Σ over heads of w_h A_h`; what arrives at image tokens is the map.
///
/// Source: arXiv 2507.17657, §4.
public final class AttentionChains: SaliencyMethod {
  /// How much a head counts.
  public enum HeadWeighting: String, Sendable, CaseIterable {
    case uniform
    /// By `MarkovChain.secondEigenvalue`, as the paper has it. All eigenvalues of matrices of all tokens: for a few hundred.
    case secondEigenvalue
  }

  public let concepts: [(name: String, tokens: [Int])]
  public let blocks: [BlockPattern]
  public let bounces: Int
  public let weighting: HeadWeighting
  public let passes: PassFilter
  private var accumulator = SaliencyAccumulator(keeping: [])
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?
  private let keeping: Set<KeptMaps>

  /// - Parameter concepts: names and their positions in the text stream
  public init(
    _ concepts: [(name: String, tokens: [Int])], in blocks: [BlockPattern], bounces: Int = 2,
    weighting: HeadWeighting = .uniform, passes: PassFilter = .conditional, keeping: Set<KeptMaps> = []
  ) {
    self.concepts = concepts
    self.blocks = blocks
    self.bounces = bounces
    self.weighting = weighting
    self.passes = passes
    self.keeping = keeping.withoutHeads
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if concepts.isEmpty || concepts.contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    if bounces < 1 { throw HookError.refused(processor: name, reason: "a chain without a step leads nowhere") }
    accumulator = earlier ?? SaliencyAccumulator(keeping: keeping)
    earlier = nil
    for block in blocks {
      hooks.observe(block, in: passes) { block, pass in
        guard let states = self.chained(in: block) else { return }
        self.accumulator.add(
          SaliencyScores(together: states), layer: block.id.layer, step: pass.step, grid: pass.grid)
      }
    }
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    try accumulator.maps(concepts.map(\.name), softmaxLast: false)
  }

  /// What arrives at image tokens, `[batch, concepts, imageTokens]`.
  private func chained(in block: BlockView) -> Tensor? {
    guard let image = block.columns(of: .image, readBy: .image), let text = block.columns(of: .text, readBy: .image)
    else { return nil }
    let batch = block.streams[0].query.shape[0]
    // Where the prompt asks nothing, a chain cannot go on from it.
    guard block.jointStreams.contains(.text) else { return nil }
    let tokens = block.jointStreams.reduce(0) { $0 + (block[$1]?.key.shape[2] ?? 0) }
    var starts = Tensor(zeros: [1, concepts.count, tokens])
    for (index, concept) in concepts.enumerated() {
      for token in concept.tokens {
        starts[0, index, text.lowerBound + token] = Tensor(1 / Float(concept.tokens.count))
      }
    }
    var states = starts.broadcast(to: [batch, concepts.count, tokens]).contiguous()
    let weights = headWeights(block), matrix = block.jointMatrix
    for _ in 0..<bounces { states = matrix.chained(states, headWeights: weights) }
    return states.narrow(2, from: image.lowerBound, count: image.count)
  }

  /// `[batch, heads]`, adding up to 1; nil for all alike, also where the eigenvalues cannot be found.
  private func headWeights(_ block: BlockView) -> Tensor? {
    guard weighting == .secondEigenvalue,
      let values = try? MarkovChain(block.jointProbabilities).secondEigenvalue()
    else { return nil }
    return values / values.sum(-1, keepDims: true)
  }
}

extension AttentionChains: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws {
    earlier = try SaliencyAccumulator(keeping: keeping, sums)
  }
}
