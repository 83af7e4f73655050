import Foundation

/// Figures over something that varies, as a plot of paper size: a line for every figure, its interval as a band.
public struct ResultCurve: Sendable {
  public let axis: String
  public let metrics: [SegmentationMetric]
  /// In growing order of `place`.
  public let points: [(place: Double, state: EvaluationState)]

  public init(axis: String, metrics: [SegmentationMetric], points: [(place: Double, state: EvaluationState)]) {
    self.axis = axis
    self.metrics = metrics
    self.points = points.sorted { $0.place < $1.place }
  }

  private static let colors = ["#4477aa", "#cc6677", "#228833", "#aa3377", "#bb8800"]
  private static let left = 52.0, right = 470.0, top = 14.0, bottom = 250.0

  public var svg: String {
    let low = points.first?.place ?? 0, span = max((points.last?.place ?? 1) - low, 1e-9)
    func x(_ place: Double) -> String { number(Self.left + (Self.right - Self.left) * (place - low) / span) }
    func y(_ value: Double) -> String { number(Self.bottom - (Self.bottom - Self.top) * min(max(value, 0), 1)) }
    var shapes = frame(x, y)
    for (index, metric) in metrics.enumerated() {
      let color = Self.colors[index % Self.colors.count]
      let found = points.compactMap { point in point.state.totals[metric].map { (point.place, $0, point.state) } }
      let bands = found.compactMap { place, _, state in state.bootstrap.interval(metric).map { (place, $0) } }
      if bands.count > 1 {
        let upper = bands.map { "\(x($0.0)),\(y($0.1.upperBound))" }
        let lower = bands.reversed().map { "\(x($0.0)),\(y($0.1.lowerBound))" }
        shapes += "<polygon points='\((upper + lower).joined(separator: " "))' fill='\(color)' opacity='.15'/>"
      }
      let line = found.map { "\(x($0.0)),\(y($0.1))" }.joined(separator: " ")
      shapes += "<polyline points='\(line)' fill='none' stroke='\(color)' stroke-width='2'/>"
      for (place, value, _) in found { shapes += "<circle cx='\(x(place))' cy='\(y(value))' r='3' fill='\(color)'/>" }
      let row = number(Self.top + 16 + Double(index) * 20)
      shapes += "<rect x='486' y='\(row)' width='14' height='4' fill='\(color)'/>"
      shapes += "<text x='506' y='\(number(Self.top + 22 + Double(index) * 20))'>\(metric.title)</text>"
    }
    return """
      <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 720 300' width='720' role='img' \
      font-family='system-ui, sans-serif' font-size='13' fill='currentColor'>\(shapes)</svg>
      """
  }

  private func frame(_ x: (Double) -> String, _ y: (Double) -> String) -> String {
    var shapes = ""
    for tick in stride(from: 0.0, through: 1.0, by: 0.2) {
      shapes += "<line x1='\(Self.left)' x2='\(Self.right)' y1='\(y(tick))' y2='\(y(tick))' stroke='#8884'/>"
      let text = number(Self.bottom - (Self.bottom - Self.top) * tick + 4)
      shapes += "<text x='\(Self.left - 8)' y='\(text)' text-anchor='end'>\(Int((tick * 100).rounded()))</text>"
    }
    for point in points {
      let name = point.place == point.place.rounded() ? "\(Int(point.place))" : "\(point.place)"
      shapes += "<text x='\(x(point.place))' y='\(Self.bottom + 18)' text-anchor='middle'>\(name)</text>"
    }
    return shapes
      + "<text x='\((Self.left + Self.right) / 2)' y='\(Self.bottom + 40)' text-anchor='middle'>\(axis)</text>"
  }

  private func number(_ value: Double) -> String { String(format: "%.1f", value) }
}
