import Foundation

/// The figures of several methods, or of several settings of one, on one data set by one protocol: as Markdown, CSV, JSON,
/// and a page with plots.
public struct ResultTable: Sendable {
  public struct Result: Sendable {
    public let name: String
    /// Where it stands on an axis of numbers; nil for what has no order.
    public let place: Double?
    public let state: EvaluationState

    public init(name: String, place: Double? = nil, state: EvaluationState) {
      self.name = name
      self.place = place
      self.state = state
    }
  }

  public let title: String
  /// What was run, for the head of the page.
  public private(set) var settings: [(name: String, value: String)]
  /// In the order they were asked for; the others are compared with the first.
  public let results: [Result]
  private(set) var table: FigureTable

  /// - Parameter head: what the rows are
  public init(
    title: String, settings: [(name: String, value: String)], head: String = "method", metrics: [SegmentationMetric],
    results: [Result]
  ) {
    self.title = title
    self.settings = settings
    self.results = results
    table = FigureTable(
      head: head, columns: metrics.map { FigureTable.Column($0) },
      rows: results.map { result in
        let figures = result.state.figures.map { ($0.key.rawValue, $0.value) }
        return FigureTable.Row(
          name: result.name, place: result.place, pictures: result.state.totals.pictures,
          figures: Dictionary(uniqueKeysWithValues: figures))
      })
  }

  /// The figures as a plot.
  public var plot: String { table.plot }

  /// The table alone, for a terminal.
  public var overview: String { (["# \(title)", ""] + table.markdown).joined(separator: "\n") + "\n" }

  public var markdown: String {
    var lines = ["# \(title)", ""]
    lines += settings.map { "- \($0.name): \($0.value)" } + [""] + table.markdown
    lines += ["", "## Classes", ""] + FigureTable.markdown(classHeads, classCells)
    for result in results where !result.state.skipped.isEmpty || result.state.leftOut > 0 {
      let (skipped, leftOut) = (result.state.skipped, result.state.leftOut)
      lines += ["", "\(result.name): \(skipped.count) pictures skipped, \(leftOut) left out by the protocol."]
      lines += skipped.prefix(20).map { "- \($0.id): \($0.reason)" }
      if skipped.count > 20 { lines.append("- and \(skipped.count - 20) more, which results.json has") }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Classes

  var classHeads: [String] { ["class", "pixels"] + results.map { "IoU, \($0.name)" } }

  var classCells: [[String]] {
    guard let classes = results.first?.state.classes else { return [] }
    let found = classes.names.indices.filter { row in results.contains { $0.state.totals.argmax.isCounted(row) } }
    let overlaps = results.map { $0.state.totals.argmax.intersectionOverUnion }
    return found.map { row in
      [classes.names[row], "\(results[0].state.totals.argmax.truth[row])"]
        + zip(results, overlaps).map { result, overlap in
          result.state.totals.argmax.isCounted(row) ? String(format: "%.2f", overlap[row] * 100) : "-"
        }
    }
  }

  // MARK: CSV and JSON

  /// A line for every method and figure.
  public var csv: String { table.csv(SegmentationMetric.allCases.map(\.rawValue)) }

  /// A line for every method and class.
  public var classCSV: String {
    var lines = ["\(table.head),class,truth,predicted,intersection,iou\(RunMark.column(table.run))"]
    for result in results {
      let counts = result.state.totals.argmax, iou = counts.intersectionOverUnion
      let name = FigureTable.quoted(result.name)
      for (row, kind) in result.state.classes.names.enumerated() where counts.isCounted(row) {
        let numbers = "\(counts.truth[row]),\(counts.predicted[row]),\(counts.intersection[row]),\(iou[row])"
        lines.append("\(name),\(FigureTable.quoted(kind)),\(numbers)\(RunMark.cell(table.run))")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  public var json: JSONText {
    let methods = zip(results, table.rows).map { result, row in (result.name, json(result.state, row)) }
    let differences = table.differences.map { name, by in (name, figures(by)) }
    return .object([
      ("title", .text(title)),
      ("settings", .object(settings.map { ($0.name, .text($0.value)) })),
      ("methods", .object(methods)),
      ("compared_with_first", .object(differences)),
    ])
  }

  private func json(_ state: EvaluationState, _ row: FigureTable.Row) -> JSONText {
    let skipped = state.skipped.map { JSONText.object([("id", .text($0.id)), ("reason", .text($0.reason))]) }
    return .object([
      ("pictures", .integer(state.totals.pictures)), ("pairs", .integer(state.totals.pairs)),
      ("metrics", figures(row.figures)), ("left_out", .integer(state.leftOut)), ("skipped", .list(skipped)),
    ])
  }

  private func figures(_ figures: [String: Figure]) -> JSONText {
    .object(
      SegmentationMetric.allCases.compactMap { metric in
        figures[metric.rawValue].map { (metric.rawValue, $0.json(metric.note)) }
      })
  }
}

extension ResultTable: TableFiles {
  public static let fileNames = ["results.json", "table.md", "table.csv", "classes.csv", "report.html", "plot.svg"]

  public var content: String { "\(json)" }

  public func files(run: String) -> [(name: String, text: String)] {
    var marked = self
    marked.settings.append((RunMark.key, run))
    marked.table.run = run
    let texts = [
      "\(marked.json)\n", marked.markdown, marked.csv, marked.classCSV, marked.page, RunMark.svg(plot, run),
    ]
    return Array(zip(Self.fileNames, texts)).map { ($0, $1) }
  }
}
