import Models
import NN

/// A method that makes maps, by name: what a command line or an evaluation chooses from. A further method is one such value
/// beside its class, and one line in `all`.
public struct MapMethod: Sendable {
  /// As users write it.
  public let name: String
  /// One sentence.
  public let summary: String
  /// Whether concepts must be words of the prompt.
  public let needsWords: Bool
  let making: @Sendable (MapRequest) throws -> any SaliencyMethod

  public init(
    name: String, summary: String, needsWords: Bool = false,
    making: @escaping @Sendable (MapRequest) throws -> any SaliencyMethod
  ) {
    self.name = name
    self.summary = summary
    self.needsWords = needsWords
    self.making = making
  }

  /// Every method there is.
  public static let all: [MapMethod] = [
    .conceptAttention, .crossAttention, .seg4Diff, .metagame, .gramCol, .imap, .attentionChains, .goCA,
  ]

  /// - Throws: `MapMethodError` when there is none of this name
  public init(named name: String) throws(MapMethodError) {
    guard let method = Self.all.first(where: { $0.name == name }) else {
      throw .unknown(name, known: Self.all.map(\.name))
    }
    self = method
  }

  /// The method for a request, to be installed on a run.
  ///
  /// - Throws: `MapMethodError`, `ConceptError`, and what encoding the concepts throws
  public func make(_ request: MapRequest) throws -> any SaliencyMethod { try making(request) }
}

/// Which maps are wanted of a run.
public struct MapRequest: Sendable {
  public var pipeline: any DiffusionPipeline
  public var concepts: [String]
  /// Of the run; methods that look for words in it need it.
  public var prompt: String
  /// Tokens T5 is given; nil for what suits the checkpoint.
  public var maxSequenceLength: Int?
  /// Layers and steps count for every method; the rest is ConceptAttention's own.
  public var options: ConceptAttentionOptions

  public init(
    _ pipeline: any DiffusionPipeline, concepts: [String], prompt: String, maxSequenceLength: Int? = nil,
    options: ConceptAttentionOptions? = nil
  ) {
    self.pipeline = pipeline
    self.concepts = concepts
    self.prompt = prompt
    self.maxSequenceLength = maxSequenceLength
    self.options = options ?? ConceptAttentionOptions(layers: pipeline.defaults.layers.map { Set($0) })
  }

  /// What ConceptAttention has the text encoder read for these concepts.
  public var phrases: [String] {
    if case .joined = options.phrases { [concepts.joined(separator: " ")] } else { concepts }
  }

  /// The chosen layers as patterns of the family where text has weights of its own.
  public var blocks: [BlockPattern] {
    let family = options.family ?? pipeline.transformer.textFamily
    return options.layers?.sorted().map { BlockPattern("\(family).\($0)") } ?? [BlockPattern(family)]
  }

  /// Where the concepts stand in the prompt.
  ///
  /// - Throws: `MapMethodError.notInPrompt` for one that does not, and what encoding the prompt throws
  func words(for method: String) throws -> [(name: String, tokens: [Int])] {
    try concepts.map { concept in
      let ranges = try pipeline.tokens(of: concept, in: prompt, maxSequenceLength: maxSequenceLength)
      if ranges.isEmpty { throw MapMethodError.notInPrompt(concept: concept, method: method, prompt: prompt) }
      return (name: concept, tokens: ranges.flatMap { Array($0) })
    }
  }

  /// The concepts as riders take them.
  func conceptSet() throws -> ConceptSet {
    try pipeline.conceptAttention(concepts, options: options, maxSequenceLength: maxSequenceLength).concepts
  }

  public var passes: PassFilter { PassFilter(steps: options.steps, branches: [options.branch]) }
}

public enum MapMethodError: Error, Equatable, CustomStringConvertible {
  case unknown(String, known: [String])
  /// A concept that a method looks for among the prompt's words.
  case notInPrompt(concept: String, method: String, prompt: String)

  public var description: String {
    switch self {
    case .unknown(let name, let known): "no method '\(name)'; there are \(known.joined(separator: ", "))"
    case .notInPrompt(let concept, let method, let prompt):
      "method \(method) maps words of the prompt: '\(concept)' is not in '\(prompt)'"
    }
  }
}
