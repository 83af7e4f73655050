import Models
import Tensor

/// Concepts and their vectors in the space of the model's text encoder.
public struct ConceptSet: Sendable {
  public let names: [String]
  /// `[1, concepts, dim]`
  public let embeddings: Tensor
  /// For the conditioning of the concept stream, `[1, pooledDim]`; nil for the model's own choice.
  public var pooled: Tensor?

  public init(_ names: [String], embeddings: Tensor, pooled: Tensor? = nil) {
    guard embeddings.rank == 3, embeddings.shape[0] == 1, embeddings.shape[1] == names.count else {
      tensorFailure("ConceptSet: embeddings of shape \(embeddings.shape) for \(names.count) concepts")
    }
    self.names = names
    self.embeddings = embeddings
    self.pooled = pooled
  }

  /// Phrases encoded alone, one vector each.
  ///
  /// - Parameter allowsUnknown: whether a phrase may have tokens the vocabulary does not know
  /// - Throws: `ConceptError` for an empty list, a phrase without tokens, or one the vocabulary does not know
  public init(
    _ phrases: [EncodedPhrase], tokens: ConceptTokens = .first, allowsUnknown: Bool = false
  ) throws(ConceptError) {
    if phrases.isEmpty { throw .none }
    for phrase in phrases {
      if phrase.span.isEmpty { throw .empty(phrase.text) }
      if phrase.hasUnknown, !allowsUnknown { throw .unknown(phrase.text) }
    }
    self.init(
      phrases.map(\.text),
      embeddings: stacked(phrases.map { tokens.vector(of: $0.states, span: $0.span) }).expanded(axis: 0))
  }
}

public enum ConceptError: Error, Equatable, CustomStringConvertible {
  case none
  case empty(String)
  case unknown(String)

  public var description: String {
    switch self {
    case .none: "no concepts"
    case .empty(let concept): "concept '\(concept)' has no tokens"
    case .unknown(let concept): "concept '\(concept)' has letters that the model's tokenizer does not know"
    }
  }
}

/// Which vector stands for a concept that the tokenizer cuts into several tokens.
public enum ConceptTokens: String, Sendable, CaseIterable {
  /// The first, as the authors take it ("skyscraper" becomes "sky").
  case first
  case last
  /// The mean of all.
  case mean

  /// - Parameters:
  ///   - states: hidden states of the phrase encoded alone, `[tokens, dim]`
  ///   - span: the tokens that spell the phrase
  /// - Returns: `[dim]`
  public func vector(of states: Tensor, span: Range<Int>) -> Tensor {
    switch self {
    case .first: states[span.lowerBound]
    case .last: states[span.upperBound - 1]
    case .mean: states.narrow(0, from: span.lowerBound, count: span.count).mean(0)
    }
  }
}
