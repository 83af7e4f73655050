import Foundation

extension ResultTable {
  /// One page without scripts or other files: the table, a plot for every figure, and the classes.
  public var page: String {
    var body = "<h1>\(escaped(title))</h1>\n<dl>\n"
    for (name, value) in settings { body += "<dt>\(escaped(name))</dt><dd>\(escaped(value))</dd>\n" }
    body += "</dl>\n<table>\n<tr><th>method</th>"
    for metric in metrics { body += "<th>\(escaped(metric.title))</th>" }
    body += "</tr>\n"
    for (method, state) in results {
      body += "<tr><td>\(escaped(method))</td>"
      for metric in metrics { body += "<td>\(escaped(Self.text(metric, state)))</td>" }
      body += "</tr>\n"
    }
    body += "</table>\n<p>Per cent; in brackets the middle 95 % over resampled pictures.</p>\n"
    if let curve { body += "<figure>\(curve.svg)</figure>\n" }
    for metric in curve == nil ? metrics : [] {
      body += "<figure>\(plot(metric))<figcaption>\(escaped(metric.title))"
      body += "\(metric.note.map { ": " + escaped($0) } ?? "")</figcaption></figure>\n"
    }
    for (method, state) in results where !state.skipped.isEmpty {
      body += "<h2>\(escaped(method)): skipped</h2>\n<ul>\n"
      for (id, reason) in state.skipped { body += "<li>\(escaped(id)): \(escaped(reason))</li>\n" }
      body += "</ul>\n"
    }
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>\(escaped(title))</title>
      <style>
      body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #222 }
      table { border-collapse: collapse } th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #ddd }
      th:first-child, td:first-child { text-align: left } dt { float: left; clear: left; width: 9rem; color: #666 }
      dd { margin-left: 9rem } figure { margin: 2rem 0 } figcaption { color: #666 } svg { max-width: 100% }
      @media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } th, td { border-color: #444 } }
      </style></head>
      <body>
      \(body)</body>
      </html>

      """
  }

  /// A figure of every method as a bar, its interval as a line.
  public func plot(_ metric: SegmentationMetric) -> String {
    let left = 200.0, right = 690.0, rowHeight = 30.0, height = Double(results.count) * rowHeight + 34
    func place(_ value: Double) -> Double { left + (right - left) * min(max(value, 0), 1) }
    func number(_ value: Double) -> String { String(format: "%.1f", value) }
    var shapes = ""
    for tick in stride(from: 0.0, through: 1.0, by: 0.2) {
      let x = number(place(tick))
      shapes += "<line x1='\(x)' x2='\(x)' y1='4' y2='\(number(height - 24))' stroke='#8884'/>"
      shapes += "<text x='\(x)' y='\(number(height - 8))' text-anchor='middle'>\(Int((tick * 100).rounded()))</text>"
    }
    for (index, (method, state)) in results.enumerated() {
      let y = Double(index) * rowHeight + 8, middle = number(y + 11)
      shapes += "<text x='\(number(left - 8))' y='\(number(y + 15))' text-anchor='end'>\(escaped(method))</text>"
      guard let value = state.totals[metric] else { continue }
      shapes += "<rect x='\(number(left))' y='\(number(y + 2))' width='\(number(place(value) - left))' height='18' "
      shapes += "fill='#4477aa'/>"
      if let interval = state.bootstrap.interval(metric) {
        let low = number(place(interval.lowerBound)), high = number(place(interval.upperBound))
        shapes += "<path d='M\(low) \(middle)H\(high)M\(low) \(number(y + 6))v10M\(high) \(number(y + 6))v10' "
        shapes += "stroke='#cc6677' stroke-width='2' fill='none'/>"
      }
    }
    return """
      <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 720 \(number(height))' width='720' role='img' \
      font-family='system-ui, sans-serif' font-size='13' fill='currentColor'>\(shapes)</svg>
      """
  }

  private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("'", with: "&#39;").replacing("\"", with: "&quot;")
  }
}
