import Foundation

/// The figures of several methods on one data set by one protocol: as Markdown, CSV and a page with plots.
public struct ResultTable: Sendable {
  public let title: String
  /// What was run, for the head of the page.
  public let settings: [(name: String, value: String)]
  public let metrics: [SegmentationMetric]
  /// By method, in the order they were asked for; the others are compared with the first.
  public let results: [(method: String, state: EvaluationState)]
  /// Where what was varied is a number.
  public var curve: ResultCurve?

  public init(
    title: String, settings: [(name: String, value: String)], metrics: [SegmentationMetric],
    results: [(method: String, state: EvaluationState)]
  ) {
    self.title = title
    self.settings = settings
    self.metrics = metrics
    self.results = results
  }

  /// With further lines in the head of the page.
  public func adding(settings more: [(name: String, value: String)]) -> ResultTable {
    var table = ResultTable(title: title, settings: settings + more, metrics: metrics, results: results)
    table.curve = curve
    return table
  }

  /// `83.07 [81.2, 84.9]`, in per cent.
  static func text(_ metric: SegmentationMetric, _ state: EvaluationState) -> String {
    guard let value = state.totals[metric] else { return "-" }
    let interval = state.bootstrap.interval(metric).map {
      String(format: " [%.1f, %.1f]", $0.lowerBound * 100, $0.upperBound * 100)
    }
    return String(format: "%.2f", value * 100) + (interval ?? "")
  }

  // MARK: Markdown

  public var markdown: String {
    var lines = ["# \(title)", ""]
    lines += settings.map { "- \($0.name): \($0.value)" } + [""]
    lines += table(["method"] + metrics.map(\.title), rows: results.map { row($0.method, $0.state) })
    lines += ["", "Per cent; in brackets the middle 95 % over resampled pictures."]
    lines += metrics.compactMap { metric in metric.note.map { "\n\(metric.title): \($0)" } }
    if results.count > 1 { lines += ["", "## Compared with \(results[0].method)", ""] + comparison }
    lines += ["", "## Classes", ""] + classTable
    for (method, state) in results where !state.skipped.isEmpty || state.leftOut > 0 {
      lines += ["", "\(method): \(state.skipped.count) pictures skipped, \(state.leftOut) left out by the protocol."]
      lines += state.skipped.prefix(20).map { "- \($0.id): \($0.reason)" }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func row(_ method: String, _ state: EvaluationState) -> [String] {
    [method] + metrics.map { Self.text($0, state) }
  }

  /// Differences on the same resampled pictures.
  private var comparison: [String] {
    let first = results[0].state
    return table(
      ["method"] + metrics.map(\.title),
      rows: results.dropFirst().map { method, state in
        [method]
          + metrics.map { metric in
            guard let one = state.totals[metric], let two = first.totals[metric] else { return "-" }
            let interval = state.bootstrap.interval(metric, minus: first.bootstrap)
            let range = interval.map { String(format: " [%+.1f, %+.1f]", $0.lowerBound * 100, $0.upperBound * 100) }
            let isSure = interval.map { !$0.contains(0) } ?? false
            return String(format: "%+.2f", (one - two) * 100) + (range ?? "") + (isSure ? " \\*" : "")
          }
      }) + ["", "\\* where the interval excludes 0."]
  }

  private var classTable: [String] {
    guard let classes = results.first?.state.classes else { return [] }
    let found = classes.names.indices.filter { row in results.contains { $0.state.totals.argmax.union[row] > 0 } }
    return table(
      ["class", "pixels"] + results.map { "IoU, \($0.method)" },
      rows: found.map { row in
        [classes.names[row], "\(results[0].state.totals.argmax.truth[row])"]
          + results.map { String(format: "%.2f", $0.state.totals.argmax.intersectionOverUnion[row] * 100) }
      })
  }

  private func table(_ head: [String], rows: [[String]]) -> [String] {
    func line(_ cells: [String]) -> String {
      "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }
    return [line(head), "|" + head.indices.map { $0 == 0 ? "---|" : "---:|" }.joined()] + rows.map(line)
  }

  // MARK: CSV and JSON

  /// A line for every method and figure.
  public var csv: String {
    var lines = ["method,metric,value,low,high,pictures"]
    for (method, state) in results {
      for metric in SegmentationMetric.allCases {
        guard let value = state.totals[metric] else { continue }
        let interval = state.bootstrap.interval(metric)
        let numbers = [value, interval?.lowerBound, interval?.upperBound].map { $0.map { "\($0)" } ?? "" }
        lines.append("\(method),\(metric.rawValue),\(numbers.joined(separator: ",")),\(state.totals.pictures)")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A line for every method and class.
  public var classCSV: String {
    var lines = ["method,class,truth,predicted,intersection,iou"]
    for (method, state) in results {
      let counts = state.totals.argmax, iou = counts.intersectionOverUnion
      for (row, name) in state.classes.names.enumerated() where counts.union[row] > 0 {
        let quoted = name.contains(",") ? "\"\(name)\"" : name
        lines.append(
          "\(method),\(quoted),\(counts.truth[row]),\(counts.predicted[row]),\(counts.intersection[row]),\(iou[row])")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  public var json: JSONText {
    .object([
      ("title", .text(title)),
      ("settings", .object(settings.map { ($0.name, .text($0.value)) })),
      (
        "methods",
        .object(
          results.map { method, state in
            (
              method,
              .object([
                ("pictures", .integer(state.totals.pictures)), ("metrics", state.metrics),
                ("left_out", .integer(state.leftOut)),
                (
                  "skipped",
                  .list(state.skipped.map { .object([("id", .text($0.id)), ("reason", .text($0.reason))]) })
                ),
              ])
            )
          })
      ),
    ])
  }
}
