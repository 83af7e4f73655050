import NN
import Tensor

/// Segmentation from cross-attention with heads and layers weighted by what they contribute, and spread along
/// self-attention.
///
/// Per block, heads are weighted at every image token by how much of the attention's output they give; blocks by how well
/// their self-attention agrees with the likeness of tokens at a reference block. The columns of a concept's tokens, divided by
/// those of tokens that stand for nothing and smoothed, are multiplied by the self-attention of some blocks.
///
/// Source: arXiv 2603.06178 and the published code.
public final class GoCA: SaliencyMethod {
  /// What tells how much a head gives of the attention's output, after the output projection and at every image token.
  public enum HeadWeighting: String, Sendable, CaseIterable {
    /// All alike: what the published configuration for FLUX takes.
    case average
    /// Its product with the sum of all heads, where that is positive: the paper's.
    case dotProduct = "dot-product"
    case cosine
    case length = "l2-norm"
  }

  public struct Options: Sendable {
    public var headWeighting = HeadWeighting.dotProduct
    /// The block whose attention outputs tell which image tokens are alike; nil for the middle one of those that are looked
    /// at.
    public var reference: BlockID?
    /// Blocks whose self-attention spreads the maps; nil for all.
    public var space: Set<BlockID>?
    /// How often it is applied.
    public var order = 2
    /// Text tokens that concepts are divided by, such as the one that ends the prompt; empty for no division.
    public var rescaling: [Int] = []

    public init() {}
  }

  public let concepts: [(name: String, tokens: [Int])]
  /// Things that are there and not asked for; together they are the map `background`.
  public let background: [(name: String, tokens: [Int])]
  public let blocks: [BlockPattern]
  public let options: Options
  public let passes: PassFilter
  private var reference: BlockID?
  /// Of the pass that is running.
  private var pending = Pending()
  private(set) var aggregates = RunningMean(), affinities = RunningMean(), layers = RunningMean()
  private(set) var grid: TokenGrid?
  /// What the next run begins with.
  private var earlier: [String: Tensor] = [:]

  /// What one pass has given so far. A block that comes before the reference waits for it with its self-attention.
  private struct Pending {
    var step: Pass?
    var cross: [Tensor] = [], waiting: [Tensor] = [], layerWeights: [Tensor] = []
    var likeness: Tensor?
  }

  public init(
    _ concepts: [(name: String, tokens: [Int])], background: [(name: String, tokens: [Int])] = [],
    in blocks: [BlockPattern] = ["*"], options: Options = Options(), passes: PassFilter = .conditional
  ) {
    self.concepts = concepts
    self.background = background
    self.blocks = blocks
    self.options = options
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if concepts.isEmpty || (concepts + background).contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    let chosen = model.blocks.filter { block in blocks.contains { $0.matches(block) } }
    for block in [options.reference].compactMap({ $0 }) + (options.space ?? []) where !chosen.contains(block) {
      throw HookError.refused(processor: name, reason: "block \(block) is not among those that are looked at")
    }
    try model.require(
      [(.text, .key), (.image, .query), (.image, .key), (.image, .attentionOutput)], in: blocks, for: name)
    reference = options.reference ?? (chosen.isEmpty ? nil : chosen[chosen.count / 2])
    pending = Pending()
    try takeUp(earlier)
    earlier = [:]
    for block in blocks { hooks.observe(block, in: passes) { self.add($0, $1, last: chosen.last) } }
  }

  private func add(_ block: BlockView, _ pass: Pass, last: BlockID?) {
    guard let image = block[.image] else { return }
    if pending.step != pass { pending = Pending(step: pass) }
    let weights = GoCA.headWeights(options.headWeighting, image)
    pending.cross.append(block.meanProbabilities(query: .image, key: .text, headWeights: weights))
    let own = block.meanProbabilities(query: .image, key: .image)
    if options.space?.contains(block.id) ?? true { affinities.add(own) }
    if block.id == reference { pending.likeness = GoCA.likeness(image) }
    pending.waiting.append(own)
    if let likeness = pending.likeness {
      pending.layerWeights += pending.waiting.map { (likeness * $0).sum(1, 2) }
      pending.waiting = []
    }
    if block.id == last { finish(pass) }
  }

  private func finish(_ pass: Pass) {
    grid = pass.grid
    let weights = GoCA.normalized(stacked(pending.layerWeights, axis: 1))  // [batch, blocks]
    layers.add(weights)
    let sum = (stacked(pending.cross, axis: 1) * weights.unsqueezed(2).unsqueezed(3)).sum(1)
    aggregates.add(GoCA.normalized(sum))
    pending = Pending()
  }
}

extension GoCA: ResumableMethod {
  public var sums: [String: Tensor] {
    [aggregates.sums("aggregates"), affinities.sums("affinities"), layers.sums("layers"), grid?.sums ?? [:]]
      .reduce(into: [:]) { $0.merge($1) { $1 } }
  }

  public func resume(from sums: [String: Tensor]) throws {
    try takeUp(sums)
    earlier = sums
  }

  private func takeUp(_ sums: [String: Tensor]) throws(SaliencyError) {
    aggregates = try RunningMean(sums, "aggregates")
    affinities = try RunningMean(sums, "affinities")
    layers = try RunningMean(sums, "layers")
    grid = sums.isEmpty ? nil : try TokenGrid(sums)
  }
}
