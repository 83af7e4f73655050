import NN

/// Takes away who sees whom, block by block: what does the picture owe to the path?
///
/// Source: attention knockout, arXiv 2304.14767 §4, on joint attention.
public final class AttentionKnockout: AttentionProcessor {
  /// One stream's sight of another.
  public struct Edge: Sendable {
    public let query, key: StreamID
    public let blocks: BlockPattern

    public init(_ query: StreamID, sees key: StreamID, in blocks: BlockPattern = "*") {
      self.query = query
      self.key = key
      self.blocks = blocks
    }
  }

  public enum Removal: String, Sendable, CaseIterable {
    /// The keys leave the softmax, which shares their weight out among the others.
    case keys
    /// The softmax stays, and what it takes of these keys is nothing.
    case values
  }

  public let edges: [Edge]
  public let removal: Removal
  public let passes: PassFilter
  /// Whether an edge was there to be cut, in the last run.
  private var isCut: [Bool] = []

  public init(_ edges: [Edge], removing removal: Removal = .keys, in passes: PassFilter = .every) {
    self.edges = edges
    self.removal = removal
    self.passes = passes
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if edges.isEmpty { throw HookError.refused(processor: name, reason: "no edge is chosen") }
    isCut = edges.map { _ in false }
    let streams = Set(model.sites.map(\.stream))
    for (index, edge) in edges.enumerated() {
      if let unknown = [edge.query, edge.key].first(where: { !streams.contains($0) }) {
        throw HookError.noStream(
          unknown, pattern: "\(edge.query) sees \(edge.key)", processor: name, streams: streams.map(\.name).sorted())
      }
      hooks.attend(edge.blocks, in: passes) { call, _, next in
        guard call.has(query: edge.query, key: edge.key) else { return next(call) }
        self.isCut[index] = true
        var call = call
        switch self.removal {
        case .keys: call.forbid(query: edge.query, key: edge.key)
        case .values: call.dropValues(query: edge.query, key: edge.key)
        }
        return next(call)
      }
    }
  }

  public func finish() throws {
    for (edge, isCut) in zip(edges, isCut) where !isCut {
      throw HookError.refused(
        processor: name, reason: "in '\(edge.blocks)' nothing of '\(edge.query)' sees '\(edge.key)'")
    }
  }
}
