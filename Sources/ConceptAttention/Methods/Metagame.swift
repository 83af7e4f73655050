import NN
import Tensor

/// Which concept makes the map of which? A game whose players are the concepts and whose value is a concept's map; the
/// Shapley values of it are the meta-attributions. A map's own share is what is left of it once the others' push and pull is
/// taken out.
///
/// Concepts ride along and nobody reads them, so all coalitions travel through one and the same pass.
///
/// Source: arXiv 2605.06295.
public final class Metagame: SaliencyMethod {
  /// What changes when a concept is absent.
  public enum Coalitions: String, Sendable, CaseIterable {
    /// Only the softmax: the products are those of all concepts together.
    case softmax
    /// Everything: concepts look at one another, and those that are absent are not there to be looked at. 2ⁿ - 1 streams.
    case streams
  }

  public let concepts: ConceptSet
  public let coalitions: Coalitions
  /// By bit mask, from 1; `streams` has all, `softmax` the last only.
  private let members: [Int: ConceptAttention]

  /// Streams beyond this many concepts are too many for one pass.
  public static let mostConcepts = 8

  /// - Parameters:
  ///   - options: layers, steps, branch, space and scaling; products are averaged before any softmax
  ///   - stream: names the streams of the coalitions, `concepts-1` and so on
  public init(
    _ concepts: ConceptSet, _ coalitions: Coalitions = .softmax, options: ConceptAttentionOptions = .default,
    stream: StreamID = "coalition"
  ) {
    self.concepts = concepts
    self.coalitions = coalitions
    var options = options
    options.normalization = .none
    options.keeping = []
    let count = concepts.names.count, all = count < Int.bitWidth - 2 ? (1 << count) - 1 : 0
    let chosen = coalitions == .streams && count <= Self.mostConcepts ? Array(1...max(all, 1)) : [all]
    members = Dictionary(
      uniqueKeysWithValues: chosen.map { mask in
        let subset = mask == all ? concepts : concepts.subset(Self.members(of: mask, among: count))
        return (mask, ConceptAttention(subset, options: options, stream: StreamID("\(stream)-\(mask)")))
      })
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    guard concepts.names.count <= Self.mostConcepts else {
      throw HookError.refused(
        processor: name,
        reason: "\(concepts.names.count) concepts have 2^\(concepts.names.count) coalitions; "
          + "\(Self.mostConcepts) concepts are the most")
    }
    for mask in members.keys.sorted() { try members[mask]?.install(&hooks, on: model) }
  }

  /// The products of every coalition, `[2^concepts, batch, concepts, frames, height, width]`, 0 for those that are absent.
  public func logits() throws -> Tensor { try ofCoalitions { $0 } }

  /// The maps of every coalition, softmaxed over its members, in the same shape.
  public func values() throws -> Tensor { try ofCoalitions { $0.softmax(1) } }

  /// Player `j`'s share in the map of concept `i`, `[j, batch, i, frames, height, width]`; over `j` they add up to the map
  /// of all concepts.
  public func attributions() throws -> Tensor { shapleyValues(try values()) }

  /// What concepts contribute to their own maps.
  public func maps() throws -> SaliencyMaps {
    let all = try attributions(), own = stacked(concepts.names.indices.map { all[$0, .all, $0] }, axis: 1)
    guard let grid = try members.values.first?.maps().grid else { throw SaliencyError.nothingRecorded }
    return SaliencyMaps(concepts: concepts.names, grid: grid, average: own)
  }

  private func ofCoalitions(_ transform: (Tensor) -> Tensor) throws -> Tensor {
    let count = concepts.names.count, all = (1 << count) - 1
    guard let full = try members[all]?.maps().average else { throw SaliencyError.nothingRecorded }
    let nothing = Tensor(zeros: full.narrow(1, from: 0, count: 1).shape)
    return stacked(
      try (0...all).map { mask in
        if mask == 0 { return Tensor(zeros: full.shape) }
        let present = Self.members(of: mask, among: count)
        let own = coalitions == .softmax ? full.take(1, present) : try members[mask]?.maps().average ?? full
        let transformed = transform(own)
        return concatenated(
          (0..<count).map { concept in
            present.firstIndex(of: concept).map { transformed.narrow(1, from: $0, count: 1) } ?? nothing
          }, axis: 1)
      })
  }

  private static func members(of mask: Int, among count: Int) -> [Int] { (0..<count).filter { mask >> $0 & 1 == 1 } }
}

extension Metagame: ResumableMethod {
  public var sums: [String: Tensor] {
    members.reduce(into: [:]) { all, member in
      for (name, tensor) in member.value.sums { all["\(member.key)/\(name)"] = tensor }
    }
  }

  public func resume(from sums: [String: Tensor]) throws {
    for (mask, member) in members {
      let prefix = "\(mask)/", own = sums.filter { $0.key.hasPrefix(prefix) }
      try member.resume(
        from: Dictionary(uniqueKeysWithValues: own.map { (String($0.key.dropFirst(prefix.count)), $0.value) }))
    }
  }
}

extension ConceptSet {
  /// Some of the concepts, with their tokens of every text encoder and those in front.
  ///
  /// - Parameter indices: into `names`, at least one
  public func subset(_ indices: [Int]) -> ConceptSet {
    let own = (0..<tokensPerConcept).flatMap { part in indices.map { leadingTokens + part * names.count + $0 } }
    return ConceptSet(
      indices.map { names[$0] }, embeddings: embeddings.take(1, Array(0..<leadingTokens) + own), pooled: pooled,
      leadingTokens: leadingTokens)
  }
}
