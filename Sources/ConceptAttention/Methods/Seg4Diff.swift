import NN
import Tensor

/// Segmentation by how image tokens look at the prompt's words in one block, the one whose attention tells things apart.
///
/// With `A` the attention weights of image tokens on text tokens, averaged over heads (equation 4), every column scaled to
/// 0 … 1 over the picture, a concept's map is the mean of its tokens' columns, scaled again. Padding tokens, which stand for
/// nothing, are drawn to things too: `regions` merges their columns into segments nobody named.
///
/// Source: arXiv 2509.18096 and the published code, which the two scalings are from.
public final class Seg4Diff: SaliencyMethod {
  public let concepts: [(name: String, tokens: [Int])]
  public let blocks: [BlockPattern]
  public let passes: PassFilter
  /// Whether columns and maps are scaled to 0 … 1 over the picture; without, maps are plain means (the paper's equation).
  public let scales: Bool
  private var mean = RunningMean()
  private var grid: TokenGrid?
  /// What the next run begins with.
  private var earlier: [String: Tensor] = [:]

  /// - Parameters:
  ///   - concepts: names and their positions in the text stream
  ///   - blocks: the paper chooses one, `joint.9` of Stable Diffusion 3; those of several are averaged
  public init(
    _ concepts: [(name: String, tokens: [Int])], in blocks: [BlockPattern], passes: PassFilter = .conditional,
    scales: Bool = true
  ) {
    self.concepts = concepts
    self.blocks = blocks
    self.passes = passes
    self.scales = scales
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if concepts.isEmpty || concepts.contains(where: \.tokens.isEmpty) {
      throw HookError.refused(processor: name, reason: "a concept without tokens has no map")
    }
    try takeUp(earlier)
    earlier = [:]
    for block in blocks {
      hooks.observe(block, in: passes) { block, pass in
        guard block.columns(of: .text, readBy: .image) != nil else { return }
        self.mean.add(block.meanProbabilities(query: .image, key: .text))
        self.grid = pass.grid
      }
    }
  }

  /// Attention weights of image tokens on text tokens, averaged over heads, blocks and passes, `[batch, tokens, textTokens]`.
  public func imageToText() throws(SaliencyError) -> Tensor {
    guard let value = mean.value else { throw .nothingRecorded }
    return value
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    guard let grid else { throw .nothingRecorded }
    let weights = try imageToText(), columns = scales ? weights.minMaxNormalized([1], epsilon: 1e-6) : weights
    let merged = stacked(concepts.map { columns.take(2, $0.tokens).mean(2) }, axis: 1)
    let scores = scales ? merged.minMaxNormalized([2], epsilon: 1e-6) : merged
    return SaliencyMaps(
      concepts: concepts.map(\.name), grid: grid, average: scores.unflattened(-1, grid.frames, grid.height, grid.width))
  }

  /// Segments that nobody named.
  public struct Regions: Sendable {
    /// Each adding up to 1 over the picture, `[regions, tokens]`.
    public let maps: Tensor
    /// Symmetric Kullback-Leibler divergence between the columns, `[columns, columns]`.
    public let distances: Tensor
    /// The strongest region at every token, `[tokens]`, `i64`.
    public var labels: Tensor { maps.argmax(0) }
  }

  /// Merges columns whose distributions over the picture are alike: in order, each that belongs to no region yet starts one
  /// and collects all within `threshold` of it; the region is their mean.
  ///
  /// - Parameters:
  ///   - columns: of `imageToText`, such as those of padding tokens, `[tokens, columns]`
  ///   - power: sharpens the scaled columns before the softmax over the picture
  ///   - threshold: half the sum of the divergences in both directions
  public static func regions(columns: Tensor, power: Float = 1, threshold: Float) -> Regions {
    let scaled = columns.minMaxNormalized([0], epsilon: 1e-6)
    let logarithms = scaled.power(power).transposed().logSoftmax(-1), p = logarithms.exp()  // [columns, tokens]
    let own = (p * logarithms).sum(-1), cross = Tensor.matmul(p, logarithms.transposed())
    let forward = own.unsqueezed(1) - cross
    let distances = (forward + forward.transposed()) / 2
    let near = distances.less(than: threshold), count = p.shape[0]
    var used: Set<Int> = [], regions: [Tensor] = []
    for anchor in 0..<count where !used.contains(anchor) {
      let members = (0..<count).filter { near[anchor, $0].item != 0 }
      used.formUnion(members + [anchor])
      regions.append(p.take(0, members.isEmpty ? [anchor] : members).mean(0))
    }
    return Regions(maps: stacked(regions), distances: distances)
  }
}

extension Seg4Diff: ResumableMethod {
  public var sums: [String: Tensor] { mean.sums("weights").merging(grid?.sums ?? [:]) { $1 } }

  public func resume(from sums: [String: Tensor]) throws {
    try takeUp(sums)
    earlier = sums
  }

  private func takeUp(_ sums: [String: Tensor]) throws(SaliencyError) {
    mean = try RunningMean(sums, "weights")
    grid = sums.isEmpty ? nil : try TokenGrid(sums)
  }
}
