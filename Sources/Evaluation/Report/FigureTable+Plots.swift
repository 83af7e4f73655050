import Foundation

// Plots as SVG, at the size of a paper's column pair: no scripts, no fonts of their own.
extension FigureTable {
  /// Curves where the rows stand on an axis of numbers, else figures as points with their intervals, a panel a column.
  package var plot: String { rows.count { $0.place != nil } > 1 ? curves : panels }

  private static let colors = ["#4477aa", "#cc6677", "#228833", "#aa3377", "#bb8800", "#66ccee"]
  private static let markers = ["circle", "square", "diamond", "triangle"]
  /// Of the lines of one colour.
  private static let dashes = ["", "7 3", "2 3", "9 3 2 3"]
  /// Of a letter: wide enough for the fonts that browsers have.
  private static let letter = 7.6

  // MARK: Panels

  private var panels: String {
    let labels = 11 + Self.letter * Double(rows.map(\.name.count).max() ?? 0), gap = 18.0, rowHeight = 22.0, top = 44.0
    let room = 750 - labels, width = room / Double(max(columns.count, 1)) - gap
    let bottom = top + Double(rows.count) * rowHeight
    var shapes = ""
    for (index, row) in rows.enumerated() {
      let y = top + Double(index) * rowHeight
      if index % 2 == 0 { shapes += "<rect x='0' y='\(n(y))' width='760' height='\(n(rowHeight))' fill='#8881'/>" }
      shapes += "<text x='\(n(labels - 8))' y='\(n(y + 15))' text-anchor='end'>\(escapedText(row.name))</text>"
    }
    for (index, column) in columns.enumerated() {
      let left = labels + Double(index) * (width + gap) + gap / 2
      shapes += panel(column, left: left, width: width, top: top, bottom: bottom, rowHeight: rowHeight)
    }
    return svg(width: 760, height: bottom + 26, shapes)
  }

  private func panel(
    _ column: Column, left: Double, width: Double, top: Double, bottom: Double, rowHeight: Double
  ) -> String {
    let color = Self.colors[0], range = column.range, span = range.upperBound - range.lowerBound
    func x(_ value: Double) -> Double {
      left + width * (min(max(value, range.lowerBound), range.upperBound) - range.lowerBound) / span
    }
    var shapes = ""
    for (index, line) in lines(column.title, width).reversed().enumerated() {
      shapes += "<text x='\(n(left + width / 2))' y='\(n(top - 12 - 15 * Double(index)))' text-anchor='middle' "
      shapes += "font-weight='600'>\(escapedText(line))</text>"
    }
    for tick in ticks(range) {
      shapes += line(x(tick), top, x(tick), bottom, tick == 0 && range.lowerBound < 0 ? "#888" : "#8885")
      // At the edges inwards: the neighbour's numbers stand close by.
      let anchor = x(tick) < left + 1 ? "start" : x(tick) > left + width - 1 ? "end" : "middle"
      shapes += "<text x='\(n(x(tick)))' y='\(n(bottom + 16))' text-anchor='\(anchor)' font-size='11'>"
      shapes += "\(Int((tick * 100).rounded()))</text>"
    }
    for (index, row) in rows.enumerated() {
      guard let figure = row.figures[column.key] else { continue }
      let y = top + (Double(index) + 0.5) * rowHeight
      if let interval = figure.interval {
        shapes += "<line x1='\(n(x(interval.lowerBound)))' x2='\(n(x(interval.upperBound)))' y1='\(n(y))' y2='\(n(y))' "
        shapes += "stroke='\(color)' stroke-width='2.5' stroke-opacity='.55' stroke-linecap='round'/>"
      }
      shapes += "<circle cx='\(n(x(figure.value)))' cy='\(n(y))' r='4' fill='\(color)'/>"
    }
    return shapes
  }

  /// A title in the room there is, on two lines at most.
  private func lines(_ title: String, _ width: Double) -> [String] {
    let most = max(4, Int((width + 14) / Self.letter))
    var lines = [""]
    for word in title.split(separator: " ") {
      if lines.count == 2 || lines[0].isEmpty || lines[0].count + 1 + word.count <= most {
        lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
      } else {
        lines.append(String(word))
      }
    }
    return lines.map { $0.count <= most ? $0 : String($0.prefix(most - 1)) + "…" }
  }

  private func ticks(_ range: ClosedRange<Double>) -> [Double] {
    let step = range.upperBound - range.lowerBound > 0.6 ? 0.5 : 0.2
    return Array(
      stride(from: (range.lowerBound / step).rounded(.up) * step, through: range.upperBound + 1e-9, by: step))
  }

  // MARK: Curves

  private var curves: String {
    let longest = (columns.map(\.title) + rows.filter { $0.place == nil }.map(\.name)).map(\.count).max() ?? 0
    let left = 46.0, right = min(500, max(300, 720 - Self.letter * Double(longest))), top = 12.0
    let keysEnd = top + 24 + 20 * Double(columns.count), bottom = max(262, keysEnd - 38)
    let points = rows.filter { $0.place != nil }.sorted { ($0.place ?? 0) < ($1.place ?? 0) }
    let places = points.compactMap(\.place), low = places.first ?? 0, span = max((places.last ?? 1) - low, 1e-9)
    // Numbers that double stand evenly on the axis.
    let doubles = low > 0 && zip(places, places.dropFirst()).allSatisfy { $1 >= 2 * $0 } && places.count > 2
    func x(_ place: Double) -> Double {
      let share = doubles ? log2(place / low) / log2((low + span) / low) : (place - low) / span
      return left + 14 + (right - left - 28) * share
    }
    func y(_ value: Double) -> Double { bottom - (bottom - top) * min(max(value, 0), 1) }
    var shapes = ""
    for tick in stride(from: 0.0, through: 1.0, by: 0.2) {
      shapes += line(left, y(tick), right, y(tick), "#8885")
      shapes += "<text x='\(n(left - 8))' y='\(n(y(tick) + 4))' text-anchor='end'>\(Int((tick * 100).rounded()))</text>"
    }
    var free = -Double.infinity  // names that would lie on one another are left out
    for place in places {
      let name = place == place.rounded() ? "\(Int(place))" : "\(place)", half = 3.9 * Double(name.count)
      guard x(place) - half > free || place == places.last else { continue }
      free = x(place) + half + 4
      shapes += "<text x='\(n(x(place)))' y='\(n(bottom + 18))' text-anchor='middle'>\(name)</text>"
    }
    shapes +=
      "<text x='\(n((left + right) / 2))' y='\(n(bottom + 38))' text-anchor='middle'>\(escapedText(head))</text>"
    for (index, column) in columns.enumerated() {
      shapes += curve(column, index, points, x, y)
      shapes += key(column.title, index, x: right + 14, y: top + 10 + Double(index) * 20)
    }
    // What stands beside the axis, such as all layers together.
    if let beside = rows.first(where: { $0.place == nil }) {
      for (index, column) in columns.enumerated() {
        guard let figure = beside.figures[column.key] else { continue }
        shapes += "<line x1='\(n(left))' x2='\(n(right))' y1='\(n(y(figure.value)))' y2='\(n(y(figure.value)))' "
        shapes += "stroke='\(color(index))' stroke-width='1.2' stroke-dasharray='5 4'/>"
      }
      let below = top + 18 + Double(columns.count) * 20
      shapes +=
        "<line x1='\(n(right + 10))' x2='\(n(right + 30))' y1='\(n(below))' y2='\(n(below))' stroke='currentColor' "
      shapes +=
        "stroke-dasharray='5 4'/><text x='\(n(right + 36))' y='\(n(below + 4))'>\(escapedText(beside.name))</text>"
    }
    return svg(width: 760, height: bottom + 48, shapes)
  }

  private func curve(
    _ column: Column, _ index: Int, _ points: [Row], _ x: (Double) -> Double, _ y: (Double) -> Double
  ) -> String {
    let color = color(index)
    let found = points.compactMap { row in
      row.figures[column.key].flatMap { figure in row.place.map { (place: $0, figure: figure) } }
    }
    var shapes = ""
    let bands = found.compactMap { place, figure in figure.interval.map { (place, $0) } }
    // Of many curves, bands would hide each other: the table has the intervals.
    if bands.count > 1, columns.count <= Self.colors.count {
      let upper = bands.map { "\(n(x($0.0))),\(n(y($0.1.upperBound)))" }
      let lower = bands.reversed().map { "\(n(x($0.0))),\(n(y($0.1.lowerBound)))" }
      shapes += "<polygon points='\((upper + lower).joined(separator: " "))' fill='\(color)' fill-opacity='.12'/>"
    }
    let path = found.map { "\(n(x($0.place))),\(n(y($0.figure.value)))" }.joined(separator: " ")
    shapes += "<polyline points='\(path)' fill='none' stroke='\(color)' stroke-width='2'\(dash(index))/>"
    for (place, figure) in found { shapes += marker(index, x: x(place), y: y(figure.value)) }
    return shapes
  }

  private func color(_ index: Int) -> String { Self.colors[index % Self.colors.count] }

  private func dash(_ index: Int) -> String {
    let dash = Self.dashes[index / Self.colors.count % Self.dashes.count]
    return dash.isEmpty ? "" : " stroke-dasharray='\(dash)'"
  }

  private func key(_ title: String, _ index: Int, x: Double, y: Double) -> String {
    let line =
      "<line x1='\(n(x - 4))' x2='\(n(x + 16))' y1='\(n(y))' y2='\(n(y))' stroke='\(color(index))' stroke-width='2'\(dash(index))/>"
    return line + marker(index, x: x + 6, y: y) + "<text x='\(n(x + 22))' y='\(n(y + 4))'>\(escapedText(title))</text>"
  }

  /// Shapes and dashes tell curves apart where colours do not.
  private func marker(_ index: Int, x: Double, y: Double) -> String {
    let color = color(index)
    switch Self.markers[(index + index / Self.colors.count) % Self.markers.count] {
    case "square": return "<rect x='\(n(x - 3.2))' y='\(n(y - 3.2))' width='6.4' height='6.4' fill='\(color)'/>"
    case "diamond": return "<path d='M\(n(x)) \(n(y - 4.6))l4.6 4.6-4.6 4.6-4.6-4.6z' fill='\(color)'/>"
    case "triangle": return "<path d='M\(n(x)) \(n(y - 4.4))l4.4 7.8h-8.8z' fill='\(color)'/>"
    default: return "<circle cx='\(n(x))' cy='\(n(y))' r='3.6' fill='\(color)'/>"
    }
  }

  // MARK: Parts

  private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ stroke: String) -> String {
    "<line x1='\(n(x1))' x2='\(n(x2))' y1='\(n(y1))' y2='\(n(y2))' stroke='\(stroke)'/>"
  }

  private func svg(width: Double, height: Double, _ shapes: String) -> String {
    """
    <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 \(n(width)) \(n(height))' width='\(n(width))' \
    height='\(n(height))' role='img' font-family='system-ui, sans-serif' font-size='13' fill='currentColor'>\
    \(shapes)</svg>
    """
  }

  private func n(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// Text as HTML and SVG have it.
func escapedText(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    .replacing("'", with: "&#39;").replacing("\"", with: "&quot;")
}
