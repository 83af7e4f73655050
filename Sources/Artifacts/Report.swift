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
    title: String, footage: Footage, maps: RunMaps, colorMap: ColorMap, scaling: MapScaling, metadata: [UInt8]
  ) throws {
    self.title = title
    let tables = ColorMap.allCases.map { "\"\($0.rawValue)\":" + ($0.hexadecimal.map { "\"\($0)\"" } ?? "null") }
    let values = zip(maps.names, maps.shown).map { name, frames in
      "\"\(name)\":[" + (0..<frames.shape[0]).map { Self.json(frames[$0]) }.joined(separator: ",\n") + "]"
    }
    let fields = try [
      "title": Self.json(title), "concepts": Self.json(maps.concepts), "colorMap": Self.json(colorMap.rawValue),
      "scaling": Self.json(scaling.rawValue), "names": Self.json(maps.names),
      "height": "\(maps.average.shape[2])", "width": "\(maps.average.shape[3])",
      "pictures": Self.json((0..<footage.count).map { try Self.picture(footage[$0], isFrame: footage.isVideo) }),
      "mapFrames": Self.json(footage.mapFrames), "framesPerSecond": "\(footage.framesPerSecond)",
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

  /// A `data:` address. Frames are compressed with losses, or a page would have tens of megabytes.
  private static func picture(_ picture: Tensor, isFrame: Bool) throws -> String {
    let bytes = isFrame ? try JPEG.encode(picture) : try PNG.encode(picture)
    return "data:image/\(isFrame ? "jpeg" : "png");base64,\(Data(bytes).base64EncodedString())"
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
