// The files of a run's page, which lie in Page/ and are part of the program.

/// What the report and the explorer show a run with.
package enum PageFiles {
  package static var style: [UInt8] { PackageResources.page_css }
  package static var viewer: [UInt8] { PackageResources.viewer_js }
  static var reportScript: [UInt8] { PackageResources.report_js }

  /// Of every colour map, 256 colours in hexadecimal digits; `null` for shades of gray.
  package static let colors: String = {
    let tables = ColorMap.allCases.map { "\"\($0.rawValue)\":" + ($0.hexadecimal.map { "\"\($0)\"" } ?? "null") }
    return "{\(tables.joined(separator: ","))}"
  }()

  static func text(_ file: [UInt8]) -> String { String(decoding: file, as: UTF8.self) }
}
