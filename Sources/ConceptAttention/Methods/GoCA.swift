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
  private var aggregates = RunningMean(), affinities = RunningMean(), layers = RunningMean()
  private var grid: TokenGrid?
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
    let sum = (stacked(pending.cross, axis: 1) * weights.expanded(axis: 2).expanded(axis: 3)).sum(1)
    aggregates.add(GoCA.normalized(sum))
    pending = Pending()
  }

  /// Cross-attention of image tokens over text tokens, all blocks together, adding up to 1, `[batch, tokens, textTokens]`.
  public func aggregated() throws(SaliencyError) -> Tensor {
    guard let value = aggregates.value else { throw .nothingRecorded }
    return value
  }

  /// How much every block counts, adding up to 1, `[batch, blocks]`.
  public func layerWeights() throws(SaliencyError) -> Tensor {
    guard let value = layers.value else { throw .nothingRecorded }
    return value
  }

  /// Self-attention of image tokens, averaged over heads and blocks, `[batch, tokens, tokens]`.
  public func affinity() throws(SaliencyError) -> Tensor {
    guard let value = affinities.value else { throw .nothingRecorded }
    return value
  }

  /// Maps of every concept and every thing of the background before they are spread, in 0 … 1.
  ///
  /// - Returns: `[batch, concepts + background, frames, height, width]`
  public func rescaled() throws(SaliencyError) -> Tensor {
    guard let grid else { throw .nothingRecorded }
    let weights = try aggregated()
    let raw = stacked((concepts + background).map { weights.take(2, $0.tokens).mean(2) }, axis: 1)
    let factor = options.rescaling.isEmpty ? nil : weights.take(2, options.rescaling).sum(2).expanded(axis: 1)
    let maps = (factor.map { raw / $0 } ?? raw).unflattened(-1, grid.frames, grid.height, grid.width)
    return GoCA.blurred(maps).minMaxNormalized([2, 3, 4])
  }

  /// One map per concept, and `background` after them where something of it is named.
  public func maps() throws(SaliencyError) -> SaliencyMaps { try maps(spread: true) }

  /// - Parameter spread: whether self-attention has spread them
  public func maps(spread: Bool) throws(SaliencyError) -> SaliencyMaps {
    guard let grid else { throw .nothingRecorded }
    let all = try rescaled()
    var maps = all.narrow(1, from: 0, count: concepts.count), names = concepts.map(\.name)
    if !background.isEmpty {
      let rest = all.narrow(1, from: concepts.count, count: background.count).amax(1, keepDims: true)
      maps = concatenated([maps, rest], axis: 1)
      names.append("background")
    }
    if spread {
      let affinity = try affinity().transposed()
      var flat = maps.flattened(from: 2)
      for _ in 0..<options.order { flat = Tensor.matmul(flat, affinity) }
      maps = flat.reshaped(maps.shape).minMaxNormalized([2, 3, 4])
    }
    return SaliencyMaps(concepts: names, grid: grid, average: maps)
  }
}

extension GoCA {
  /// How much every head counts at every image token, `[batch, heads, tokens]`, adding up to 1. Without an output projection
  /// of the attention's own (FLUX's single blocks), all alike.
  public static func headWeights(_ weighting: HeadWeighting, _ image: BlockView.StreamView) -> Tensor {
    let shape = Array(image.output.shape.dropLast())
    guard weighting != .average, let shares = image.projectedHeads else {
      return Tensor(full: shape, 1 / Float(shape[1]))
    }
    let total = shares.sum(1, keepDims: true)
    func length(_ x: Tensor) -> Tensor { x.squared().sum(-1).squareRoot() }
    switch weighting {
    case .average, .dotProduct: return normalized((shares * total).sum(-1).clamped(min: 0), axis: 1)
    case .cosine:
      let product = (shares * total).sum(-1)
      return normalized(product / (length(shares) * length(total)).maximum(1e-8), axis: 1)
    case .length: return normalized(length(shares), axis: 1)
    }
  }

  /// How alike image tokens are: `softmax(R Rᵀ / sqrt(dim))` of the attention's output, after the projection where there is
  /// one, `[batch, tokens, tokens]`.
  static func likeness(_ image: BlockView.StreamView) -> Tensor {
    let outputs = image.projectedOutput ?? image.mergedOutput
    return (Tensor.matmul(outputs, outputs.transposed()) / Float(outputs.shape[2]).squareRoot()).softmax(-1)
  }

  /// Not negative, and adding up to 1.
  static func normalized(_ x: Tensor, axis: Int = -1) -> Tensor {
    let positive = axis == 1 ? x : x.clamped(min: 0), total = positive.sum(axis, keepDims: true)
    return positive / total.filled(where: total.equal(to: 0), with: 1)
  }

  /// A Gaussian of 5 × 5 tokens and σ = 1.1, mirrored at the edges.
  ///
  /// - Parameter maps: `[batch, maps, frames, height, width]`
  static func blurred(_ maps: Tensor) -> Tensor {
    let weights = (-2...2).map { Tensor(-0.5 * Float($0 * $0) / 1.21).exp().item }, total = weights.reduce(0, +)
    func blurred(_ map: Tensor, axis: Int) -> Tensor {
      let count = map.shape[axis]
      if count < 2 { return map }
      var result = Tensor(zeros: map.shape)
      for (offset, weight) in zip(-2...2, weights) {
        let places = (0..<count).map { mirrored($0 + offset, count) }
        result += map.take(axis, places) * (weight / total)
      }
      return result
    }
    return blurred(blurred(maps, axis: 3), axis: 4)
  }

  private static func mirrored(_ place: Int, _ count: Int) -> Int {
    let period = 2 * (count - 1), inside = ((place % period) + period) % period
    return inside < count ? inside : period - inside
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
