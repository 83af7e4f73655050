/// Faithfulness over a data set: a table for each kind of edges, with random order first, and the curves.
public struct FaithfulnessTable: Sendable {
  public let title: String
  public private(set) var settings: [(name: String, value: String)]
  private var parts: [(edges: Faithfulness.Edges, areas: FigureTable, curves: FigureTable)]
  private let remarks: [String]
  private let skipped: [(id: String, reason: String)]

  /// - Parameter lines: of the data set's pictures, in its order
  public init(
    title: String, settings: [(name: String, value: String)], edges: [Faithfulness.Edges], orders: [String],
    lines: [(id: String, line: FaithfulnessLine)]
  ) {
    self.title = title
    self.settings = settings
    parts = edges.map { edges in
      (edges, Self.areas(lines, edges, orders), Self.curves(lines, edges, orders))
    }
    skipped = lines.compactMap { id, line in line.skipped.map { (id, $0) } }
    let measured = lines.count { !$0.line.curves.isEmpty }, floor = lines.map(\.line.noiseFloor).max() ?? 0
    let idle = lines.reduce(0) { $0 + $1.line.idle }
    remarks = [
      "Areas under the change over the share of tokens, in per cent of the change when all tokens lose their edges. Cut: "
        + "the most marked tokens lose theirs first, and the better a map finds what matters, the larger the area. Kept: "
        + "all others lose theirs. Random order is what to compare with.",
      "\(measured) pictures measured, \(skipped.count) skipped, \(lines.count { $0.line.leftOut != nil }) without a "
        + "concept that is in the picture and in the prompt; \(idle) times all edges cut changed nothing.",
      "Noise floor: a cut that cuts nothing changes the prediction by \(floor == 0 ? "0, to the bit" : "\(floor)").",
    ]
  }

  // MARK: Figures

  private static var quantities: [(column: FigureTable.Column, values: (FaithfulnessLine.Curves) -> [Double]?)] {
    [
      (.init(key: "prediction_cut", title: "prediction, cut"), \.predictionCut),
      (.init(key: "prediction_kept", title: "prediction, kept"), \.predictionKept),
      (.init(key: "maps_cut", title: "other maps, cut"), \.othersCut),
      (.init(key: "maps_kept", title: "other maps, kept"), \.othersKept),
    ]
  }

  private static func areas(
    _ lines: [(id: String, line: FaithfulnessLine)], _ edges: Faithfulness.Edges, _ orders: [String]
  ) -> FigureTable {
    let rows = orders.map { order in
      var figures: [String: Figure] = [:], pictures = 0
      for (column, values) in quantities {
        var mean = WeightedMean()
        for (id, line) in lines {
          mean.add(own(line, edges, order).compactMap(values).map { area($0) }, of: id)
        }
        figures[column.key] = mean.figure
        pictures = max(pictures, mean.pictures)
      }
      return FigureTable.Row(name: order, pictures: pictures, figures: figures)
    }
    return FigureTable(head: "order", columns: quantities.map(\.column), rows: rows)
  }

  /// The change of the prediction over the share of tokens that are cut.
  private static func curves(
    _ lines: [(id: String, line: FaithfulnessLine)], _ edges: Faithfulness.Edges, _ orders: [String]
  ) -> FigureTable {
    let rows = Faithfulness.shares.enumerated().map { index, share in
      var figures: [String: Figure] = [:]
      for order in orders {
        var mean = WeightedMean()
        for (id, line) in lines { mean.add(own(line, edges, order).map { $0.predictionCut[index] }, of: id) }
        figures[order] = mean.figure
      }
      return FigureTable.Row(name: "\(share)", place: share, pictures: lines.count, figures: figures)
    }
    return FigureTable(
      head: "share of tokens cut", columns: orders.map { .init(key: $0, title: $0) }, rows: rows)
  }

  private static func own(
    _ line: FaithfulnessLine, _ edges: Faithfulness.Edges, _ order: String
  ) -> [FaithfulnessLine.Curves] {
    line.curves.filter { $0.edges == edges && $0.order == order }
  }

  // MARK: Files

  /// Plots by name.
  public var plots: [(name: String, svg: String)] {
    parts.flatMap { [("plot-\($0.edges.rawValue)", $0.areas.plot), ("curves-\($0.edges.rawValue)", $0.curves.plot)] }
  }

  public var markdown: String {
    var lines = ["# \(title)", ""] + settings.map { "- \($0.name): \($0.value)" }
    lines += remarks.flatMap { ["", $0] }
    for (edges, areas, _) in parts {
      lines += ["", "# Edges: \(edges.title)", ""] + areas.markdown
    }
    if !skipped.isEmpty { lines += ["", "Skipped:"] + skipped.prefix(20).map { "- \($0.id): \($0.reason)" } }
    return lines.joined(separator: "\n") + "\n"
  }

  public var csv: String {
    var text = ""
    for (index, part) in parts.enumerated() {
      let rows = part.areas.csv(Self.quantities.map(\.column.key)).split(separator: "\n")
      text += rows.enumerated().dropFirst(index == 0 ? 0 : 1).map { place, row in
        "\(place == 0 ? "edges" : part.edges.rawValue),\(row)\n"
      }.joined()
    }
    return text
  }

  public var page: String {
    var page = ReportPage(title: title, settings: settings)
    for remark in remarks { page.add(text: remark) }
    for (edges, areas, curves) in parts {
      page.add(heading: "Edges: \(edges.title)")
      page.add(areas)
      page.add(text: "Change of the prediction over the share of tokens cut")
      page.add(plot: curves.plot)
    }
    if !skipped.isEmpty {
      page.add(heading: "Skipped")
      page.add(list: skipped.map { "\($0.id): \($0.reason)" })
    }
    return page.html
  }
}

extension FaithfulnessTable: TableFiles {
  /// - Parameter edges: that are cut
  public static func fileNames(_ edges: [Faithfulness.Edges]) -> [String] {
    ["table.md", "table.csv", "report.html"]
      + edges.flatMap { ["plot-\($0.rawValue).svg", "curves-\($0.rawValue).svg"] }
  }

  public var content: String { markdown + csv }

  public var overview: String { markdown }

  public func files(run: String) -> [(name: String, text: String)] {
    var marked = self
    marked.settings.append((RunMark.key, run))
    for index in parts.indices { marked.parts[index].areas.run = run }
    return [("table.md", marked.markdown), ("table.csv", marked.csv), ("report.html", marked.page)]
      + plots.map { ("\($0.name).svg", RunMark.svg($0.svg, run)) }
  }
}

/// A mean over the values of pictures, with the same over resampled pictures.
private struct WeightedMean {
  private var sums = [Double](repeating: 0, count: Bootstrap.replicates)
  private var counts = [Int](repeating: 0, count: Bootstrap.replicates)
  private var sum = 0.0, count = 0
  private(set) var pictures = 0

  mutating func add(_ values: [Double], of id: String) {
    if values.isEmpty { return }
    let own = values.reduce(0, +)
    sum += own
    count += values.count
    pictures += 1
    for (index, weight) in resampledWeights(of: id).enumerated() where weight > 0 {
      sums[index] += own * Double(weight)
      counts[index] += values.count * weight
    }
  }

  /// nil of nothing.
  var figure: Figure? {
    guard count > 0 else { return nil }
    return Figure(sum / Double(count), samples: zip(sums, counts).map { $1 == 0 ? nil : $0 / Double($1) })
  }
}
