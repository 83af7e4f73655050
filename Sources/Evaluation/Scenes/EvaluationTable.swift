import ConceptAttention
import Foundation

/// What is measured of a picture's maps; the raw value is its name in `metrics.json`.
public enum SceneMetric: String, Sendable, CaseIterable, Comparable {
  /// Share of pixels whose concept is the one with the largest map.
  case accuracy = "acc"
  /// Intersection over union of where a concept's map is the largest, mean over the concepts in the picture.
  case argmaxIoU = "argmax_miou"
  /// Intersection over union of where a map is above its own mean.
  case meanIoU = "miou"
  /// Average precision of a map as a ranking of the pixels.
  case averagePrecision = "map"
  /// The same of things only, without backgrounds.
  case objectArgmaxIoU = "obj_argmax_miou"
  case objectMeanIoU = "obj_miou"
  case objectAveragePrecision = "obj_map"

  /// Head of a column.
  public var shortName: String {
    switch self {
    case .accuracy: "acc"
    case .argmaxIoU: "amIoU"
    case .meanIoU: "mIoU"
    case .averagePrecision: "mAP"
    case .objectArgmaxIoU: "o.amI"
    case .objectMeanIoU: "o.mIoU"
    case .objectAveragePrecision: "o.mAP"
    }
  }

  public static func < (one: SceneMetric, other: SceneMetric) -> Bool { one.rawValue < other.rawValue }
}

/// Means over the scenes, by rows (layers and noise level) and kinds of map.
public struct EvaluationTable: Sendable, Equatable {
  /// Layers that a row's maps are the mean of, and the noise the pictures were shown with.
  public struct Row: Sendable, Hashable {
    public enum Layers: Sendable, Hashable {
      case all
      case only(Int)
      /// Those chosen for this model.
      case selected
    }
    public let layers: Layers
    public let noiseLevel: Double

    public init(_ layers: Layers, noiseLevel: Double) {
      self.layers = layers
      self.noiseLevel = noiseLevel
    }

    /// As in `metrics.json`: `layer3 t=0.5`.
    public var name: String {
      switch layers {
      case .all: "all t=\(noiseLevel)"
      case .only(let layer): "layer\(layer) t=\(noiseLevel)"
      case .selected: "sel t=\(noiseLevel)"
      }
    }

    fileprivate var rank: Int {
      switch layers {
      case .all: -1
      case .only(let layer): layer
      case .selected: .max
      }
    }
  }

  /// Scenes measured.
  public private(set) var scenes = 0
  private var sums: [Row: [SaliencySpace: [SceneMetric: Sum]]] = [:]

  private struct Sum: Sendable, Equatable {
    var total = 0.0, count = 0
  }

  public init() {}

  /// All layers first, then each, then the selected ones; by noise level within.
  public var rows: [Row] { sums.keys.sorted { ($0.rank, $0.noiseLevel) < ($1.rank, $1.noiseLevel) } }

  /// Kinds of map, in the order of the table.
  public static let spaces: [SaliencySpace] = [.output, .crossAttention, .conceptQuery]

  /// Mean over the scenes that have a value; nil when none has.
  public subscript(_ row: Row, _ space: SaliencySpace, _ metric: SceneMetric) -> Double? {
    guard let sum = sums[row]?[space]?[metric], sum.count > 0 else { return nil }
    return sum.total / Double(sum.count)
  }

  mutating func add(_ scores: [SceneMetric: Double], _ row: Row, _ space: SaliencySpace) {
    for (metric, score) in scores {
      sums[row, default: [:]][space, default: [:]][metric, default: Sum()].total += score
      sums[row, default: [:]][space, default: [:]][metric, default: Sum()].count += 1
    }
  }

  mutating func finishScene() { scenes += 1 }

  /// The table in columns, three decimals, a line per row.
  public var text: String {
    let label = 18, column = 7, columns = SceneMetric.allCases
    let blank = String(repeating: " ", count: label)
    var lines = [
      blank + Self.spaces.map { "|" + centred($0.tableName, columns.count * column) }.joined(),
      blank + Self.spaces.map { _ in "|" + columns.map { right($0.shortName, column) }.joined() }.joined(),
    ]
    for row in rows {
      let groups = Self.spaces.map { space in
        "|" + columns.map { right(self[row, space, $0].map { String(format: "%.3f", $0) } ?? "-", column) }.joined()
      }
      lines.append(row.name + String(repeating: " ", count: max(0, label - row.name.count)) + groups.joined())
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  private func centred(_ text: String, _ width: Int) -> String {
    let left = max(0, width - text.count) / 2
    return right("", left) + text + right("", max(0, width - text.count - left))
  }
}

extension SaliencySpace {
  /// Name in `metrics.json`.
  package var tableName: String {
    switch self {
    case .crossAttention: "cross"
    case .conceptQuery: "cross_ck"
    default: rawValue
    }
  }
}

extension EvaluationTable: Encodable {
  private enum CodingKeys: String, CodingKey { case n, prompt, table }

  /// In the form of the reference's `metrics.json`, four decimals.
  public func encode(to encoder: any Encoder) throws {
    var table: [String: [String: [String: Double]]] = [:]
    for row in rows {
      for space in Self.spaces {
        for metric in SceneMetric.allCases {
          guard let value = self[row, space, metric] else { continue }
          table[row.name, default: [:]][space.tableName, default: [:]][metric.rawValue] = (value * 1e4).rounded() / 1e4
        }
      }
    }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(scenes, forKey: .n)
    try container.encode("caption", forKey: .prompt)
    try container.encode(table, forKey: .table)
  }

  /// The bytes of `metrics.json`, keys in order.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }
}
