import Evaluation
import Foundation
import Testing

/// Plots whose names must be read and whose curves must be told apart, however many there are.
@Suite struct PlotTests {
  private static let names = (0..<20).map { "concept-attention:a long name \($0)" }

  private func figure(_ value: Double) -> Figure { Figure(value, samples: (0..<9).map { value + Double($0) / 100 }) }

  /// The values of an attribute of every element of a kind.
  private func elements(_ kind: String, of svg: String) -> [String] {
    svg.split(separator: "<").map(String.init).filter { $0.hasPrefix("\(kind) ") }
  }

  private func attribute(_ name: String, _ element: String) -> String {
    element.components(separatedBy: " \(name)='").dropFirst().first?.components(separatedBy: "'").first ?? ""
  }

  private func size(_ svg: String) -> (width: Double, height: Double) {
    (
      Double(attribute("width", elements("svg", of: svg)[0])) ?? 0,
      Double(attribute("height", elements("svg", of: svg)[0])) ?? 0
    )
  }

  @Test func curvesThatShareAColourDifferInTheirDashes() {
    let columns = Self.names.map { FigureTable.Column(key: $0, title: $0) }
    let rows = [0.0, 0.5, 1].map { place in
      FigureTable.Row(
        name: "\(place)", place: place, pictures: 9,
        figures: Dictionary(uniqueKeysWithValues: Self.names.map { ($0, figure(place / 2)) }))
    }
    let svg = FigureTable(head: "share", columns: columns, rows: rows).plot
    let curves = elements("polyline", of: svg)
    #expect(Set(curves.map { attribute("stroke", $0) + "|" + attribute("stroke-dasharray", $0) }).count == 20)
    // A key for each, within the picture.
    let keys = elements("text", of: svg).filter { $0.contains("concept-attention:") }, (width, height) = size(svg)
    #expect(keys.count == 20)
    for key in keys {
      #expect((Double(attribute("y", key)) ?? .infinity) < height)
      #expect((Double(attribute("x", key)) ?? .infinity) + 7.2 * Double(Self.names[9].count) < width)
    }
  }

  @Test func longNamesHaveRoomAndLongTitlesTwoLines() {
    let rows = Self.names.map { FigureTable.Row(name: $0, pictures: 9, figures: ["m": figure(0.3)]) }
    let columns = ["m", "b", "c", "d"].map { FigureTable.Column(key: $0, title: "mIoU per picture") }
    let svg = FigureTable(head: "method", columns: columns, rows: rows).plot
    for label in elements("text", of: svg).filter({ $0.contains("concept-attention:") }) {
      #expect((Double(attribute("x", label)) ?? 0) > 7.2 * Double(Self.names[9].count))
    }
    #expect(svg.contains(">mIoU per<") || svg.contains(">mIoU<"))
    #expect(!svg.contains("…"))
  }
}
