import Models
import Tensor

/// Concepts and their vectors in the space of the model's text encoder.
public struct ConceptSet: Sendable {
  public let names: [String]
  /// Tokens of the concepts' stream, `[1, leadingTokens + tokensPerConcept * names.count + paddingTokens, dim]`: one of
  /// every concept, then another of every concept, and so on, as the parts of several text encoders follow each other in a
  /// prompt.
  public let embeddings: Tensor
  /// Tokens in front that stand for no concept: they are attended and have no map.
  public let leadingTokens: Int
  /// Tokens behind the concepts that stand for none: they are attended, and compete with the concepts for every spot. 0 but
  /// for what `padded(to:)` gives.
  public private(set) var paddingTokens = 0
  /// The vectors of a concept's tokens are averaged once attention is done.
  public let tokensPerConcept: Int
  /// For the conditioning of the concept stream, `[1, pooledDim]`; nil for the model's own choice.
  public var pooled: Tensor?

  public init(_ names: [String], embeddings: Tensor, pooled: Tensor? = nil, leadingTokens: Int = 0) {
    let tokens = embeddings.rank == 3 && embeddings.shape[0] == 1 ? embeddings.shape[1] - leadingTokens : -1
    guard leadingTokens >= 0, !names.isEmpty, tokens > 0, tokens % names.count == 0 else {
      tensorFailure(
        "ConceptSet: embeddings of shape \(embeddings.shape) for \(names.count) concepts after \(leadingTokens) tokens")
    }
    self.names = names
    self.embeddings = embeddings
    self.pooled = pooled
    self.leadingTokens = leadingTokens
    tokensPerConcept = tokens / names.count
  }

  /// Phrases encoded alone, one vector each of every text encoder.
  ///
  /// - Parameter allowsUnknown: whether a phrase may have tokens the vocabulary does not know
  /// - Throws: `ConceptError` for an empty list, a phrase without tokens, or one the vocabulary does not know
  public init(
    _ phrases: [EncodedPhrase], tokens: ConceptTokens = .first, allowsUnknown: Bool = false
  ) throws(ConceptError) {
    if phrases.isEmpty { throw .none }
    for phrase in phrases {
      if phrase.spans.contains(where: \.isEmpty) { throw .empty(phrase.text) }
      if phrase.hasUnknown, !allowsUnknown { throw .unknown(phrase.text) }
    }
    let vectors = phrases[0].spans.indices.flatMap { part in
      phrases.map { tokens.vector(of: $0.states, span: $0.spans[part]) }
    }
    self.init(phrases.map(\.text), embeddings: stacked(vectors).unsqueezed(0))
  }

  /// Concepts joined into one sentence, as the authors' code has them for Stable Diffusion 3: the rows from the start of the
  /// sentence on, one per concept after what opens it. A concept of several tokens shifts those after it.
  ///
  /// - Parameter sentence: the names, joined by blanks
  /// - Throws: `ConceptError.none`, and `ConceptError.empty` when the sentence has fewer tokens than there are concepts
  public init(_ names: [String], joined sentence: EncodedPhrase) throws(ConceptError) {
    guard let span = sentence.spans.first, !names.isEmpty else { throw .none }
    guard span.count >= names.count else { throw .empty(sentence.text) }
    let rows = sentence.states.narrow(0, from: 0, count: span.lowerBound + names.count)
    self.init(names, embeddings: rows.unsqueezed(0), leadingTokens: span.lowerBound)
  }

  /// With vectors of zeros behind, up to a number of tokens, as the authors' code has them for CogVideoX.
  public func padded(to tokens: Int) -> ConceptSet {
    let missing = tokens - embeddings.shape[1]
    if missing <= 0 { return self }
    let zeros = Tensor(zeros: [1, missing, embeddings.shape[2]])
    var padded = ConceptSet(self, embeddings: concatenated([embeddings, zeros], axis: 1))
    padded.paddingTokens = paddingTokens + missing
    return padded
  }

  private init(_ set: ConceptSet, embeddings: Tensor) {
    (names, leadingTokens, tokensPerConcept) = (set.names, set.leadingTokens, set.tokensPerConcept)
    self.embeddings = embeddings
    pooled = set.pooled
    paddingTokens = set.paddingTokens
  }

  /// Concepts that the model's text encoder cannot tell apart, so that their maps are the same: each with the one before it
  /// that it is the same as.
  public var indistinguishable: [(first: String, second: String)] {
    names.indices.compactMap { index in
      let vector = embeddings[0, leadingTokens + index]
      let same = names[..<index].indices.first { embeddings[0, leadingTokens + $0].isIdentical(to: vector) }
      return same.map { (names[$0], names[index]) }
    }
  }

  /// One vector per concept of what attention made of the stream's tokens, and behind them one per token of padding.
  ///
  /// - Parameter vectors: `[batch, heads, tokens, …]`
  func perConcept(_ vectors: Tensor) -> Tensor {
    let count = tokensPerConcept * names.count
    let own = vectors.narrow(2, from: leadingTokens, count: count)
    let concepts = tokensPerConcept == 1 ? own : own.unflattened(2, tokensPerConcept, names.count).mean(2)
    if paddingTokens == 0 { return concepts }
    return concatenated([concepts, vectors.narrow(2, from: leadingTokens + count, count: paddingTokens)], axis: 2)
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
