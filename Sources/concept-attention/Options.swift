import ArgumentParser
import ConceptAttention
import Foundation
import Models
import NN
import Tensor

struct ModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "An embedded model (\(EmbeddedModel.allCases.map(\.rawValue).joined(separator: ", "))) or a folder in the diffusers layout.",
      valueName: "name or folder"))
  var model = EmbeddedModel.tinyFlux.rawValue

  @Option(help: "Threads to use; all CPUs of this process unless given.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads \(threads): expected at least 1") }
  }

  func open() throws -> any ImagePipeline {
    if let threads { Threads.count = threads }
    return try openPipeline(model)
  }
}

struct ConceptOptions: ParsableArguments {
  @Option(help: "Concepts, separated by commas. The maps compete, so name what else is in the picture too.")
  var concepts: String?

  @Option(
    help: "Layers to average, such as 0,2 or 10-14 or 'all'; the model's default unless given.")
  var layers: String?

  @Option(
    help: "What is compared: \(SaliencySpace.allCases.map(\.rawValue).joined(separator: ", ")).")
  var space: SaliencySpace = .output

  @Option(help: "Settings to start from: default, or paper (layers 14-17, concept vectors normalised).")
  var preset: Preset = .default

  @Option(
    help: "How scores become maps: \(SaliencyNormalization.allCases.map(\.rawValue).joined(separator: ", ")).")
  var normalization: SaliencyNormalization = .softmax

  @Option(help: "Which token stands for a concept of several: \(ConceptTokens.allCases.map(\.rawValue).joined(separator: ", ")).")
  var conceptTokens: ConceptTokens = .first

  @Option(help: "What concept queries see: \(ConceptReads.allCases.map(\.rawValue).joined(separator: ", ")).")
  var reads: ConceptReads = .conceptsAndImage

  @Flag(help: "Keep a map per head too.")
  var perHead = false

  enum Preset: String, ExpressibleByArgument, CaseIterable { case `default`, paper }

  /// - Parameter prompt: gives the concepts when none are named: its content words
  func names(prompt: String?) throws -> [String] {
    if let concepts {
      let names = concepts.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
      guard !names.isEmpty else { throw ValidationError("--concepts '\(concepts)' names no concept") }
      if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
        throw ValidationError("--concepts names '\(twice)' twice")
      }
      return names
    }
    let words = prompt.map(contentWords) ?? []
    guard !words.isEmpty else {
      throw ValidationError("no concepts: name them with --concepts, or give a prompt with content words")
    }
    return words
  }

  func processor(_ pipeline: any ImagePipeline, names: [String], steps: Set<Int>?) throws -> ConceptAttention {
    var options: ConceptAttentionOptions = preset == .paper ? .paper : .default
    if preset == .default, let layers = pipeline.defaults.layers { options.layers = Set(layers) }
    if let layers { options.layers = layers == "all" ? nil : try indexSet(layers, option: "--layers") }
    options.steps = steps
    options.spaces = [space]
    options.normalization = normalization
    options.reads = reads
    options.keeping = perHead ? [.layers, .steps, .heads] : [.layers, .steps]
    let phrases = try pipeline.encodePhrases(names, maxSequenceLength: nil)
    return ConceptAttention(try ConceptSet(phrases, tokens: conceptTokens), options: options)
  }
}

struct OutputOptions: ParsableArguments {
  @Option(help: "Folder to write to; made if it does not exist.")
  var output = "concept-attention-output"

  @Option(help: "Colours of the heatmaps: \(ColorMap.allCases.map(\.rawValue).joined(separator: ", ")).")
  var colorMap: ColorMap = .viridis

  @Flag(help: "Print what was done as JSON on standard output instead of the paths.")
  var json = false
}

extension SaliencySpace: ExpressibleByArgument {}
extension SaliencyNormalization: ExpressibleByArgument {}
extension ConceptTokens: ExpressibleByArgument {}
extension ConceptReads: ExpressibleByArgument {}
extension ColorMap: ExpressibleByArgument {}

/// `0,2` or `10-14` or both.
func indexSet(_ text: String, option: String) throws -> Set<Int> {
  var result: Set<Int> = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0, first <= last,
      last < 10_000
    else { throw ValidationError("\(option) '\(text)': expected numbers from 0 such as 0,2 or 10-14") }
    result.formUnion(first...last)
  }
  return result
}

/// The words of a prompt that name something, in order, without repetition.
func contentWords(_ prompt: String) -> [String] {
  var seen: Set<String> = []
  return prompt.lowercased().split { !($0.isLetter || $0.isNumber || $0 == "-" || $0 == "'") }.map(String.init)
    .filter { !stopWords.contains($0) && seen.insert($0).inserted }
}

private let stopWords: Set<String> = Set(
  """
  a an the and or but nor of in on at by for with without to from into onto over under above below between behind
  beside next near left right front back top bottom up down out off as is are was were be been being it its this that
  these those there here his her their our your my he she they we you i who which what where when while very some any
  no not picture photo photograph image painting drawing scene view close-up red orange yellow green blue purple pink
  white black brown grey gray
  """.split { $0 == " " || $0 == "\n" }.map(String.init))
