import ConceptAttention
import Formats
import Foundation
import Models
import Tensor

/// Everything that decides a figure beside the model and the method: as a JSON file to read, copy and change. Figures of
/// one protocol compare; figures of two do not.
public struct EvaluationProtocol: Sendable, Equatable, Codable {
  public var name = "default"
  /// Where it comes from and what to know before comparing.
  public var summary = ""

  /// Which pictures of a data set count.
  public enum Pictures: String, Sendable, Codable {
    case all
    /// Those with one class beside background.
    case singleClass
  }
  public var pictures = Pictures.all

  /// Which classes are asked for.
  public enum Classes: String, Sendable, Codable {
    /// Those in the picture, which the method is thereby told.
    case present
    /// All of the data set.
    case all
  }
  public var classes = Classes.present
  /// Whether a data set that names the concepts of its pictures, distractors among them, has the last word.
  public var asksForDatasetConcepts = true
  /// Concepts beside classes, which stand for background. One that is the name of another class is left out.
  public var background: [String] = []
  /// What classes are called; the others have their own names.
  public var classNames: [String: String] = [:]
  /// Which token stands for a concept of several.
  public var conceptTokens = ConceptTokens.first
  /// What the model is told: `{concept}` is the first class, `{concepts}` all, with a comma and a blank between them, and
  /// `{concepts,a }` all, with a comma and `a ` between them. A data set that has captions has the last word.
  public var prompt = ""

  public struct Resize: Sendable, Equatable, Codable {
    public var width, height: Int
    /// Pillow's name: `nearest`, `bilinear`, `bicubic` …
    public var filter: ImageFilter
  }
  /// What is done to a picture before the model sees it, one after the other; none to keep its proportions at the model's
  /// own size.
  public var resize: [Resize] = []
  /// Levels that the picture is noised to, above 0 and at most 1; the checkpoint's own when empty.
  public var noise: [Float] = []
  /// Draws of noise at every level.
  public var draws = 1
  public var seed: UInt64 = 0
  /// Told to a guidance-distilled model; nil for 0.
  public var guidance: Float?
  /// Whether the norms are told a zero vector in place of the prompt's pooled one.
  public var zeroesPooledText = false

  /// Layers of the blocks in which text has weights of its own; nil for the checkpoint's best.
  public var layers: [Int]?
  public var normalization = SaliencyNormalization.softmax
  public var conceptScaling = ConceptScaling.none
  /// What concepts attend to.
  public var reads = ConceptReads.conceptsAndImage
  /// Whether maps are smoothed by a Gaussian of 3 × 3 tokens.
  public var blurs = false

  /// Background where no concept's softmax reaches this.
  public var threshold = ScoringRules().threshold
  /// The side of the square that labels are brought to before they are scored, by Pillow's nearest neighbour; nil to score
  /// at the labels' own size.
  public var labelSize: Int?
  /// The figures that the protocol is about, in the order of the table.
  public var metrics: [SegmentationMetric] = [.accuracy, .meanIoUOfTrue, .pictureIoU, .averagePrecision]

  public init() {}

  public var rules: ScoringRules {
    var rules = ScoringRules()
    rules.threshold = threshold
    rules.labelSize = labelSize
    return rules
  }

  /// Why a picture does not count; nil when it does.
  func reasonToLeaveOut(_ example: SegmentationExample, _ classes: SegmentationClasses) -> String? {
    guard pictures == .singleClass else { return nil }
    let objects = example.present.filter { $0 != classes.background }
    return objects.count == 1 ? nil : "\(objects.count) classes, and \(name) takes pictures of one"
  }

  // MARK: Files

  /// Reads a file; what it does not say is as in `default`.
  ///
  /// - Throws: `DatasetProblem` naming the file, and a key that means nothing
  public init(path: String) throws { try self.init(settingsFile(path)) }

  /// Reads a file that is mapped already, or bytes in memory.
  ///
  /// - Throws: `DatasetProblem`
  public init(_ file: MappedFile) throws {
    self = try decodedSettings(EvaluationProtocol.self, file)
    try check(file.path)
  }

  /// The protocol as such a file.
  public var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { return "{}" }  // numbers, texts and lists always encode
    return String(decoding: data, as: UTF8.self)
  }

  func check(_ path: String) throws {
    func fail(_ text: String) -> DatasetProblem { DatasetProblem(path, text) }
    if let bad = noise.first(where: { !($0 > 0 && $0 <= 1) }) {
      throw fail("noise \(bad): expected above 0, at most 1")
    }
    if noise.count > 1000 { throw fail("noise: \(noise.count) levels, expected at most 1000") }
    guard (1...10_000).contains(draws) else { throw fail("draws \(draws): expected 1 to 10000") }
    guard (0...1).contains(threshold) else { throw fail("threshold \(threshold): expected 0 to 1") }
    if let labelSize, !(1...8192).contains(labelSize) { throw fail("labelSize \(labelSize): expected 1 to 8192") }
    for step in resize where !(1...8192).contains(step.width) || !(1...8192).contains(step.height) {
      throw fail("resize to \(step.width) x \(step.height): expected 1 to 8192")
    }
    if resize.count > 16 { throw fail("resize: \(resize.count) steps, expected at most 16") }
    if let guidance, !guidance.isFinite { throw fail("guidance \(guidance): expected a finite number") }
    if layers?.isEmpty == true { throw fail("layers: expected some, or none at all for the checkpoint's best") }
    if metrics.isEmpty { throw fail("metrics: expected some of \(SegmentationMetric.allCases.map(\.rawValue))") }
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case name, summary, pictures, classes, asksForDatasetConcepts, background, classNames, conceptTokens, prompt
    case resize, noise, draws, seed, guidance, zeroesPooledText, layers, normalization, conceptScaling, reads, blurs,
      threshold, labelSize, metrics
  }

  private struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public init(from decoder: any Decoder) throws {
    let all = try decoder.container(keyedBy: AnyKey.self)
    if let stray = all.allKeys.first(where: { CodingKeys(stringValue: $0.stringValue) == nil }) {
      let known = CodingKeys.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorrupted(
        .init(codingPath: [stray], debugDescription: "no such key; there are \(known)"))
    }
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ value: inout Value, _ key: CodingKeys) throws {
      value = try values.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    try read(&name, .name)
    try read(&summary, .summary)
    try read(&pictures, .pictures)
    try read(&classes, .classes)
    try read(&asksForDatasetConcepts, .asksForDatasetConcepts)
    try read(&background, .background)
    try read(&classNames, .classNames)
    try read(&conceptTokens, .conceptTokens)
    try read(&prompt, .prompt)
    try read(&resize, .resize)
    try read(&noise, .noise)
    try read(&draws, .draws)
    try read(&seed, .seed)
    try read(&zeroesPooledText, .zeroesPooledText)
    try read(&normalization, .normalization)
    try read(&conceptScaling, .conceptScaling)
    try read(&reads, .reads)
    try read(&blurs, .blurs)
    try read(&threshold, .threshold)
    try read(&metrics, .metrics)
    guidance = try values.decodeIfPresent(Float.self, forKey: .guidance)
    layers = try values.decodeIfPresent([Int].self, forKey: .layers)
    labelSize = try values.decodeIfPresent(Int.self, forKey: .labelSize)
  }
}

extension ConceptTokens: Codable {}
extension SaliencyNormalization: Codable {}
extension ConceptScaling: Codable {}
extension ConceptReads: Codable {}
extension ImageFilter: Codable {}
