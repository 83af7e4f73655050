import Foundation

/// Figures in rows and columns, with their uncertainty: methods by metrics, settings by metrics.
public struct FigureTable: Sendable {
  public struct Column: Sendable {
    /// In files.
    public let key: String
    public let title: String
    /// What a reader should know before comparing the figure with others.
    public let note: String?
    /// Where the axis of its plot ends; figures are shares, and may have a sign.
    public let range: ClosedRange<Double>

    public init(key: String, title: String, note: String? = nil, range: ClosedRange<Double> = 0...1) {
      self.key = key
      self.title = title
      self.note = note
      self.range = range
    }

    public init(_ metric: SegmentationMetric) {
      self.init(key: metric.rawValue, title: metric.title, note: metric.note)
    }
  }

  public struct Row: Sendable {
    public let name: String
    /// Where it stands on an axis of numbers; nil for what has no order.
    public let place: Double?
    public let pictures: Int
    /// By column.
    public let figures: [String: Figure]

    public init(name: String, place: Double? = nil, pictures: Int, figures: [String: Figure]) {
      self.name = name
      self.place = place
      self.pictures = pictures
      self.figures = figures
    }
  }

  /// What the rows are.
  public let head: String
  public let columns: [Column]
  /// The others are compared with the first.
  public let rows: [Row]
  /// The run that it is of: a column of the CSV.
  var run: String?

  public init(head: String, columns: [Column], rows: [Row]) {
    self.head = head
    self.columns = columns
    self.rows = rows
  }

  /// `83.07 [81.2, 84.9]`, in per cent.
  static func text(_ figure: Figure?, signed: Bool = false) -> String {
    guard let figure else { return "-" }
    let one = signed ? "%+.2f" : "%.2f", two = signed ? " [%+.1f, %+.1f]" : " [%.1f, %.1f]"
    let interval = figure.interval.map { String(format: two, $0.lowerBound * 100, $0.upperBound * 100) }
    return String(format: one, figure.value * 100) + (interval ?? "")
  }

  static let remark = "Per cent; in brackets the middle 95 % over resampled pictures."

  var heads: [String] { [head] + columns.map(\.title) }
  var cells: [[String]] { rows.map { row in [row.name] + columns.map { Self.text(row.figures[$0.key]) } } }
  var notes: [String] { columns.compactMap { column in column.note.map { "\(column.title): \($0)" } } }

  /// Differences to the first row on the same resampled pictures.
  var differences: [(row: String, by: [String: Figure])] {
    guard let first = rows.first else { return [] }
    return rows.dropFirst().map { row in
      (
        row.name,
        row.figures.reduce(into: [:]) { by, part in
          if let other = first.figures[part.key] { by[part.key] = part.value.minus(other) }
        }
      )
    }
  }

  var differenceCells: [[String]] {
    differences.map { row, by in
      [row]
        + columns.map { column in
          Self.text(by[column.key], signed: true) + (by[column.key]?.isSure == true ? " *" : "")
        }
    }
  }

  static let differenceRemark = "\\* where the interval of the paired difference excludes 0."

  // MARK: Markdown, CSV and JSON

  var markdown: [String] {
    var lines = Self.markdown(heads, cells) + ["", Self.remark] + notes.map { "\n\($0)" }
    if rows.count > 1, let first = rows.first {
      lines += ["", "## Compared with \(first.name)", ""] + Self.markdown(heads, differenceCells)
      lines += ["", Self.differenceRemark]
    }
    return lines
  }

  static func markdown(_ head: [String], _ rows: [[String]]) -> [String] {
    func line(_ cells: [String]) -> String {
      "| " + cells.map { $0.replacing("|", with: "\\|").replacing(" *", with: " \\*") }.joined(separator: " | ") + " |"
    }
    return [line(head), "|" + head.indices.map { $0 == 0 ? "---|" : "---:|" }.joined()] + rows.map(line)
  }

  /// A line for every row and figure, with the paired difference to the first row.
  func csv(_ keys: [String]) -> String {
    var lines = [
      "\(head),metric,value,low,high,pictures,difference,difference_low,difference_high\(RunMark.column(run))"
    ]
    let first = rows.first
    for row in rows {
      for key in keys {
        guard let figure = row.figures[key] else { continue }
        let other = row.name == first?.name ? nil : first?.figures[key].map { figure.minus($0) }
        let numbers = [
          "\(figure.value)", Self.number(figure.interval?.lowerBound), Self.number(figure.interval?.upperBound),
          "\(row.pictures)", Self.number(other?.value), Self.number(other?.interval?.lowerBound),
          Self.number(other?.interval?.upperBound),
        ]
        lines.append("\(Self.quoted(row.name)),\(key),\(numbers.joined(separator: ","))\(RunMark.cell(run))")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }

  static func quoted(_ text: String) -> String {
    text.contains(where: { ",\"\n".contains($0) }) ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
  }
}
