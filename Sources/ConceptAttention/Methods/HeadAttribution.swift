import NN
import Tensor

/// How much the model's output changes without each head alone.
public struct HeadAttribution: Sendable {
  public let blocks: [BlockID]
  /// `|output without the head - output| / |output|` per picture, `[blocks, heads, batch]`.
  public let change: Tensor

  /// Heads by their mean change over the pictures, largest first.
  public var ranking: [(block: BlockID, head: Int)] {
    let heads = change.shape[1]
    return change.mean(-1).flattened().argsort(descending: true).scalars(as: Int.self).map {
      (blocks[$0 / heads], $0 % heads)
    }
  }

  /// Runs the model once as it is and once without every head, in all of its streams.
  ///
  /// - Parameters:
  ///   - replacement: `zero`, `mean` over the tokens, or the `HeadMeans` of a data set; nil for those of the plain run
  ///   - blocks: nil for all
  ///   - output: runs the model with these processors; `[batch, …]`
  public static func measure(
    on model: any StreamModel, replacing replacement: HeadAblation.Replacement? = nil, blocks: [BlockID]? = nil,
    output: ([any AttentionProcessor]) throws -> Tensor
  ) throws -> HeadAttribution {
    let means = HeadMeans(), plain = try output([means]), blocks = blocks ?? model.blocks
    var rows: [Tensor] = []
    for block in blocks {
      guard let heads = means[Site(block, .image, .attentionOutput)]?.shape[0] else {
        throw HookError.neverFired(what: "\(block).image.attentionOutput", processor: "HeadAttribution")
      }
      rows.append(
        stacked(
          try (0..<heads).map { head in
            let ablation = HeadAblation(
              "\(block).*.attentionOutput", heads: [head], by: replacement ?? .means(means))
            return relativeChange(try output([ablation]), plain)
          }))
    }
    return HeadAttribution(blocks: blocks, change: stacked(rows))
  }

  /// `|changed - plain| / |plain|` per picture, `[batch]`.
  public static func relativeChange(_ changed: Tensor, _ plain: Tensor) -> Tensor {
    func length(_ x: Tensor) -> Tensor { x.flattened(from: 1).squared().sum(-1).squareRoot() }
    return length(changed - plain) / length(plain)
  }
}
