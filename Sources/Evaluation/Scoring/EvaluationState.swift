/// What has come of a run so far: totals, resampled totals, and what could not be scored.
public struct EvaluationState: Sendable {
  public let classes: SegmentationClasses
  public private(set) var totals: SegmentationTotals
  public private(set) var bootstrap: Bootstrap
  /// Pictures that the protocol does not take.
  public private(set) var leftOut = 0
  private var faults: [(unit: Int, id: String, reason: String)] = []

  public init(_ classes: SegmentationClasses) {
    self.classes = classes
    totals = SegmentationTotals(classes)
    bootstrap = Bootstrap(classes)
  }

  /// - Parameter unit: where the picture's unit stands in the run: outcomes may come in any order
  public mutating func add(_ outcome: PictureOutcome, unit: Int = 0) {
    switch outcome {
    case .scored(let scores, _):
      totals.add(scores)
      bootstrap.add(scores)
    case .skipped(let id, let reason, _): faults.append((unit, id, reason))
    case .leftOut: leftOut += 1
    }
  }

  /// Pictures that could not be scored, and why, in the order of the data set.
  public var skipped: [(id: String, reason: String)] {
    faults.enumerated().sorted { ($0.element.unit, $0.offset) < ($1.element.unit, $1.offset) }
      .map { ($0.element.id, $0.element.reason) }
  }

  /// A figure with its uncertainty; nil where there is nothing to measure it on.
  public func figure(_ metric: SegmentationMetric) -> Figure? {
    totals[metric].map { Figure($0, samples: bootstrap.samples(metric)) }
  }

  /// Every figure that there is.
  public var figures: [SegmentationMetric: Figure] {
    Dictionary(
      uniqueKeysWithValues: SegmentationMetric.allCases.compactMap { metric in
        figure(metric).map { (metric, $0) }
      })
  }

  /// Every figure with its interval.
  public var metrics: JSONText {
    .object(
      SegmentationMetric.allCases.compactMap { metric in figure(metric).map { (metric.rawValue, $0.json(metric.note)) }
      })
  }
}

extension Figure {
  func json(_ note: String? = nil) -> JSONText {
    var members: [(String, JSONText)] = [("value", .number(value))]
    if let interval {
      members.append(("interval95", .list([.number(interval.lowerBound), .number(interval.upperBound)])))
    }
    if let note { members.append(("note", .text(note))) }
    return .object(members)
  }
}
