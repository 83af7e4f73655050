import ArgumentParser
import ConceptAttention
import Foundation
import Models
import NN
import Tensor

/// Which concepts, and how their maps are made: the same for `generate` and `segment`.
struct ConceptOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Concepts, separated by commas. Their maps compete for every spot, so name what else is in the picture too.",
      valueName: "a,b,c"))
  var concepts: String?

  @Option(
    help: ArgumentHelp(
      "How maps are made. \(MapMethod.all.map { "\($0.name): \($0.summary)" }.joined(separator: ". ")).",
      valueName: "name"))
  var method = MapMethod.conceptAttention.name

  @Option(
    help: ArgumentHelp(
      "Layers to average, counted from 0, such as 0,2 or 10-14 or all; the model's best unless given."))
  var layers: String?

  @Option(
    help: ArgumentHelp(
      """
      Settings to start from. default: the model's best layers. paper: as the paper's tables were made, with layers \
      14-17, concept vectors normalised over the concepts and blurred maps, and for segment 5 samples at noise 0.5. \
      authors-sd3: as the authors' code does it for Stable Diffusion 3, concepts joined into one sentence. \
      authors-cogvideox: as it does for CogVideoX, with vectors of zeros that compete with the concepts. \
      Options given beside it win.
      """))
  var preset: Preset = .default

  @Option(
    help: ArgumentHelp(
      """
      What is compared. output: attention outputs, the method itself, unless given. crossAttention: image queries and concept keys. \
      conceptQuery: the other direction. queryQuery: queries. value: values. attention: attention weights.
      """))
  var space: SaliencySpace?

  @Option(
    help: ArgumentHelp(
      """
      How scores become maps. softmax, unless given: over the concepts, per layer and step, then the mean. softmaxOfMean: the mean \
      first. none: no softmax, so that concepts do not compete.
      """))
  var normalization: SaliencyNormalization?

  @Option(help: "Which token stands for a concept that the tokenizer cuts into several; the first unless given.")
  var conceptTokens: ConceptTokens?

  @Option(help: "What concepts attend to; conceptsAndImage unless given, the others are the paper's ablations.")
  var reads: ConceptReads?

  @Flag(help: "Keep a map per attention head too.")
  var perHead = false

  enum Preset: String, ExpressibleByArgument, CaseIterable {
    case `default`, paper
    case authorsSD3 = "authors-sd3"
    case authorsCogVideoX = "authors-cogvideox"

    var options: ConceptAttentionOptions {
      switch self {
      case .default: .default
      case .paper: .paper
      case .authorsSD3: .authorsSD3
      case .authorsCogVideoX: .authorsCogVideoX
      }
    }
  }

  /// - Parameter prompt: gives the concepts when none are named: its content words
  func names(prompt: String?) throws -> [String] {
    guard let concepts else {
      let words = prompt.map(contentWords) ?? []
      if words.isEmpty {
        throw InputError("no concepts: name them with --concepts, or give a prompt with content words")
      }
      return words
    }
    let names = concepts.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    if names.isEmpty { throw InputError("--concepts '\(concepts)' names no concept") }
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw InputError("--concepts names '\(twice)' twice")
    }
    return names
  }

  /// - Throws: `MapMethodError` for an unknown name, `InputError` for an option that the method does not have
  func mapMethod() throws -> MapMethod {
    let method = try MapMethod(named: method)
    guard method.name != MapMethod.conceptAttention.name else { return method }
    let own: [(String, Bool)] = [
      ("space", space != nil), ("normalization", normalization != nil), ("concept-tokens", conceptTokens != nil),
      ("reads", reads != nil), ("preset", preset != .default),
    ]
    if let (name, _) = own.first(where: \.1) {
      throw InputError(
        "--\(name) is about \(MapMethod.conceptAttention.name); --method \(method.name) has no such choice")
    }
    return method
  }

  /// - Parameter steps: whose maps are averaged; nil for all
  func options(for pipeline: any DiffusionPipeline, steps: Set<Int>?) throws -> ConceptAttentionOptions {
    var options = preset.options
    let family = pipeline.transformer.textFamily
    if preset != .paper, let layers = pipeline.defaults.layers { options.layers = Set(layers) }
    if let layers { options.layers = layers == "all" ? nil : try indexSet(layers, option: "--layers") }
    let count = pipeline.transformer.blocks.count { $0.family == family }
    if let outside = options.layers?.sorted().first(where: { $0 >= count }) {
      let source = layers.map { "--layers \($0)" } ?? "--preset \(preset.rawValue)"
      throw InputError("\(source): there is no layer \(outside), this model has layers 0 to \(count - 1)")
    }
    options.steps = steps
    if let space { options.spaces = [space] }
    if let normalization { options.normalization = normalization }
    if let conceptTokens { options.phrases = .alone(conceptTokens) }
    if let reads { options.reads = reads }
    // Vectors averaged over the steps make no maps by step.
    options.keeping = options.averaging == .vectors ? [.layers] : [.layers, .steps]
    if perHead { options.keeping.insert(.heads) }
    return options
  }
}

extension SaliencySpace: ExpressibleByArgument {}
extension SaliencyNormalization: ExpressibleByArgument {}
extension ConceptTokens: ExpressibleByArgument {}
extension ConceptReads: ExpressibleByArgument {}

/// What is wrong with what the user gave, found out after the command line was read.
struct InputError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// `0,2` or `10-14` or both.
func indexSet(_ text: String, option: String) throws -> Set<Int> {
  var result: Set<Int> = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0, first <= last,
      last < 10_000
    else { throw InputError("\(option) '\(text)': expected numbers from 0 such as 0,2 or 10-14") }
    result.formUnion(first...last)
  }
  return result
}

/// Steps chosen of those a run has.
func stepSet(_ text: String?, of count: Int) throws -> Set<Int>? {
  guard let text else { return nil }
  let steps = try indexSet(text, option: "--timesteps")
  if let outside = steps.sorted().first(where: { $0 >= count }) {
    throw InputError("--timesteps \(text): there is no step \(outside), this run has steps 0 to \(count - 1)")
  }
  return steps
}
