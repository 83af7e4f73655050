import NN

/// Picks heads one by one, each time the one that together with those picked before serves an aim best.
///
/// Source: arXiv 2506.10978 (HeadHunter), §4, whose aims are scores of guided pictures; any number will do.
public struct HeadHunter: Sendable {
  public struct Head: Hashable, Sendable, CustomStringConvertible {
    public let block: BlockID
    public let head: Int

    public init(_ block: BlockID, _ head: Int) {
      self.block = block
      self.head = head
    }

    public var description: String { "\(block) head \(head)" }
  }

  /// In the order they were picked.
  public let heads: [Head]
  /// The score with the first head, with the first two, and so on.
  public let scores: [Float]

  /// - Parameters:
  ///   - candidates: to pick from
  ///   - count: how many at most
  ///   - stopsEarly: whether to end when no further head raises the score
  ///   - score: of some heads together; more is better. Called `candidates × count` times or less
  public init(
    among candidates: [Head], count: Int, stopsEarly: Bool = true, score: ([Head]) throws -> Float
  ) rethrows {
    var heads: [Head] = [], scores: [Float] = [], left = candidates
    while heads.count < count, !left.isEmpty {
      let found = try left.map { try score(heads + [$0]) }
      guard let best = found.indices.max(by: { found[$0] < found[$1] }) else { break }
      if stopsEarly, let last = scores.last, found[best] <= last { break }
      scores.append(found[best])
      heads.append(left.remove(at: best))
    }
    (self.heads, self.scores) = (heads, scores)
  }

  /// What `PerturbedAttention` takes.
  public var choices: [PerturbedAttention.Choice] { Self.choices(heads) }

  public static func choices(_ heads: [Head]) -> [PerturbedAttention.Choice] {
    Dictionary(grouping: heads, by: \.block).sorted { "\($0.key)" < "\($1.key)" }.map { block, heads in
      PerturbedAttention.Choice(BlockPattern(block), heads: Set(heads.map(\.head)))
    }
  }

  /// Every head of some blocks.
  public static func all(of blocks: [BlockID], heads: Int) -> [Head] {
    blocks.flatMap { block in (0..<heads).map { Head(block, $0) } }
  }
}
