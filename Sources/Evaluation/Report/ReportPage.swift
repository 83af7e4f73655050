/// One page without scripts or other files, for tables and plots.
struct ReportPage {
  let title: String
  private var body: String

  init(title: String, settings: [(name: String, value: String)]) {
    self.title = title
    body = "<h1>\(escapedText(title))</h1>\n<dl>\n"
    for (name, value) in settings { body += "<dt>\(escapedText(name))</dt><dd>\(escapedText(value))</dd>\n" }
    body += "</dl>\n"
  }

  mutating func add(heading: String) { body += "<h2>\(escapedText(heading))</h2>\n" }
  mutating func add(text: String) { body += "<p>\(escapedText(text))</p>\n" }
  mutating func add(plot: String) { body += "<figure>\(plot)</figure>\n" }

  mutating func add(table head: [String], _ rows: [[String]]) {
    func row(_ cells: [String], _ tag: String) -> String {
      "<tr>" + cells.map { "<\(tag)>\(escapedText($0))</\(tag)>" }.joined() + "</tr>\n"
    }
    body += "<div class='wide'><table>\n\(row(head, "th"))\(rows.map { row($0, "td") }.joined())</table></div>\n"
  }

  mutating func add(list items: [String]) {
    body += "<ul>\n" + items.map { "<li>\(escapedText($0))</li>\n" }.joined() + "</ul>\n"
  }

  /// A table with its remarks, comparison and plot.
  mutating func add(_ table: FigureTable) {
    add(table: table.heads, table.cells)
    add(text: FigureTable.remark)
    for note in table.notes { add(text: note) }
    add(plot: table.plot)
    guard table.rows.count > 1, let first = table.rows.first else { return }
    add(heading: "Compared with \(first.name)")
    add(table: table.heads, table.differenceCells)
    add(text: "* where the interval of the paired difference excludes 0.")
  }

  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>\(escapedText(title))</title>
    <style>
    body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #222 }
    table { border-collapse: collapse } th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #ddd }
    th:first-child, td:first-child { text-align: left } dt { float: left; clear: left; width: 9rem; color: #666 }
    td { font-variant-numeric: tabular-nums; white-space: nowrap } .wide { overflow-x: auto }
    dd { margin-left: 9rem } figure { margin: 2rem 0 } svg { max-width: 100%; height: auto }
    @media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } th, td { border-color: #444 } }
    </style></head>
    <body>
    \(body)</body>
    </html>

    """
  }
}

extension ResultTable {
  /// The table, a plot, the comparison with the first and the classes, as one page.
  public var page: String {
    var page = ReportPage(title: title, settings: settings)
    page.add(table)
    page.add(heading: "Classes")
    page.add(table: classHeads, classCells)
    for result in results where !result.state.skipped.isEmpty {
      page.add(heading: "\(result.name): skipped")
      page.add(list: result.state.skipped.map { "\($0.id): \($0.reason)" })
    }
    return page.html
  }
}
