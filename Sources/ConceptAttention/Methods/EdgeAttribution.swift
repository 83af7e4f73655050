import NN
import Tensor

/// How much the model's output changes without each edge of attention alone: who sees whom, block by block.
public struct EdgeAttribution: Sendable {
  public let blocks: [BlockID]
  public let edges: [AttentionCall.Edge]
  /// `|output without the edge - output| / |output|` per picture, `[blocks, edges, batch]`; 0 for an edge that a block does not
  /// have.
  public let change: Tensor

  /// Edges by their mean change over the pictures, largest first.
  public var ranking: [(block: BlockID, edge: AttentionCall.Edge)] {
    change.mean(-1).flattened().argsort(descending: true).scalars(as: Int.self).map {
      (blocks[$0 / edges.count], edges[$0 % edges.count])
    }
  }

  /// Runs the model once as it is and once without every edge.
  ///
  /// - Parameters:
  ///   - edges: nil for all between image and text, and of each to itself
  ///   - blocks: nil for all
  ///   - output: runs the model with these processors; `[batch, …]`
  public static func measure(
    on model: any StreamModel, removing removal: AttentionKnockout.Removal = .keys,
    edges: [AttentionCall.Edge]? = nil, blocks: [BlockID]? = nil,
    output: ([any AttentionProcessor]) throws -> Tensor
  ) throws -> EdgeAttribution {
    let plain = try output([]), blocks = blocks ?? model.blocks
    let edges =
      edges
      ?? [StreamID.image, .text].flatMap { query in
        [StreamID.image, .text].map { AttentionCall.Edge(query: query, key: $0) }
      }
    let rows = try blocks.map { block in
      stacked(
        try edges.map { edge in
          let cut = AttentionKnockout(
            [.init(edge.query, sees: edge.key, in: BlockPattern(block))], removing: removal)
          guard cut.fits(model, block) else { return Tensor(zeros: [plain.shape[0]]) }
          return HeadAttribution.relativeChange(try output([cut]), plain)
        })
    }
    return EdgeAttribution(blocks: blocks, edges: edges, change: stacked(rows))
  }
}

extension AttentionKnockout {
  /// Whether a block has the streams of the edges.
  fileprivate func fits(_ model: any StreamModel, _ block: BlockID) -> Bool {
    let streams = model.streams(in: block)
    return edges.allSatisfy { edge in
      streams.contains(edge.query) && streams.contains(edge.key)
        && model.points(of: edge.query, in: block).contains(.query)
        && model.points(of: edge.key, in: block).contains(.key)
    }
  }
}
