// The report: one page with everything inside, which opens from a folder without a network.

import ConceptAttention
import Formats
import Foundation
import Tensor

/// The contents of `report.html`: the files of the run, and the view of them that the explorer has too.
struct Report {
  private let title: String
  private let data: String

  /// - Parameter metadata: the JSON of `metadata.json`
  init(title: String, footage: Footage, maps: RunMaps, metadata: [UInt8]) throws {
    self.title = title
    let shown = maps.shown.map { $0.shape[0] == 1 ? $0[0] : $0.transposed(0, 1) }
    let values = try Self.safetensors(zip(maps.names, shown).map { ($0, $1) }, concepts: maps.concepts)
    let pictures = try (0..<footage.count).map { try Self.picture(footage[$0], isFrame: footage.isVideo) }
    let members = [
      "\"colors\":\(PageFiles.colors)", "\"maps\":\"\(values.base64EncodedString())\"",
      "\"metadata\":\(String(decoding: metadata, as: UTF8.self))",
      "\"pictures\":[\(pictures.map { "\"\($0)\"" }.joined(separator: ",\n"))]",
    ]
    data = Self.inert("{\(members.joined(separator: ",\n"))}")
  }

  /// Nothing can be fetched by this page or sent from it, whatever is in it.
  private static let policy =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    + "form-action 'none'"

  var page: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="\(Self.policy)">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(Self.escaped(title))</title>
    <style>
    \(PageFiles.text(PageFiles.style))
    </style>
    </head>
    <body>
    <header><h1 id="title"></h1></header>
    <main id="run"></main>
    <script type="application/json" id="data">\(data)</script>
    <script>
    \(PageFiles.text(PageFiles.viewer))
    \(PageFiles.text(PageFiles.reportScript))
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

  /// Maps as a safetensors file, `f32 [concepts, height, width]` each, or `[concepts, frames, height, width]`.
  ///
  /// - Parameter concepts: written into it, as `maps.safetensors` has them
  static func safetensors(_ maps: [(name: String, values: Tensor)], concepts: [String]) throws -> Data {
    enum Entry: Encodable {
      case tensor(shape: [Int], offsets: [Int])
      case metadata([String: String])

      func encode(to encoder: any Encoder) throws {
        struct Description: Encodable {
          var dtype = "F32"
          let shape, data_offsets: [Int]
        }
        switch self {
        case .tensor(let shape, let offsets): try Description(shape: shape, data_offsets: offsets).encode(to: encoder)
        case .metadata(let texts): try texts.encode(to: encoder)
        }
      }
    }
    let names = try String(decoding: JSONEncoder().encode(concepts), as: UTF8.self)
    var entries = ["__metadata__": Entry.metadata(["concepts": names])], bytes = Data()
    for (name, values) in maps {
      let start = bytes.count
      for value in values.floats { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
      entries[name] = .tensor(shape: values.shape, offsets: [start, bytes.count])
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    var header = try encoder.encode(entries)
    header.append(contentsOf: [UInt8](repeating: UInt8(ascii: " "), count: -header.count & 7))
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + bytes
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
