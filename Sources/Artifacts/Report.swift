// The report: one page with everything inside, which opens from a folder without a network.

import ConceptAttention
import Formats
import Foundation
import Tensor

/// The contents of `report.html`.
struct Report {
  private let title: String
  private let data: String

  /// - Parameter metadata: the JSON of `metadata.json`
  init(
    title: String, image: Tensor, maps: RunMaps, colorMap: ColorMap, scaling: MapScaling, metadata: [UInt8]
  ) throws {
    self.title = title
    let tables = ColorMap.allCases.map { "\"\($0.rawValue)\":" + ($0.hexadecimal.map { "\"\($0)\"" } ?? "null") }
    let values = zip(maps.names, maps.shown).map { name, map in "\"\(name)\":" + Self.json(map) }
    let fields = try [
      "title": Self.json(title), "concepts": Self.json(maps.concepts), "colorMap": Self.json(colorMap.rawValue),
      "scaling": Self.json(scaling.rawValue), "names": Self.json(maps.names),
      "height": "\(maps.average.shape[1])", "width": "\(maps.average.shape[2])",
      "picture": "\"data:image/png;base64,\(Data(PNG.encode(image)).base64EncodedString())\"",
      "colors": "{\(tables.joined(separator: ","))}", "maps": "{\(values.joined(separator: ","))}",
      "metadata": String(decoding: metadata, as: UTF8.self),
    ]
    let members = fields.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
    data = Self.inert("{\(members.joined(separator: ",\n"))}")
  }

  var page: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(Self.escaped(title))</title>
    <style>
    \(Self.style)
    </style>
    </head>
    <body>
    \(Self.body)
    <script type="application/json" id="data">\(data)</script>
    <script>
    \(Self.script)
    </script>
    </body>
    </html>

    """
  }

  /// A list of flat maps, one per concept, with four significant digits.
  private static func json(_ maps: Tensor) -> String {
    let rows = (0..<maps.shape[0]).map { index in
      "[" + maps[index].floats.map(shortNumber).joined(separator: ",") + "]"
    }
    return "[" + rows.joined(separator: ",\n") + "]"
  }

  private static func json(_ value: some Encodable) throws -> String {
    try String(decoding: JSONEncoder().encode(value), as: UTF8.self)
  }

  /// JSON in which nothing can end the element around it: outside of strings these characters do not occur.
  private static func inert(_ json: String) -> String {
    json.replacingOccurrences(of: "&", with: "\\u0026").replacingOccurrences(of: "<", with: "\\u003c")
      .replacingOccurrences(of: ">", with: "\\u003e")
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
  }
}
