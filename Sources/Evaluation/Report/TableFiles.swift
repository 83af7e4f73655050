// Which run the files of an evaluation are of: all tables of one run carry the same id.

import Formats

/// A table that goes into a folder of an evaluation as several files.
public protocol TableFiles: Sendable {
  /// All that the table says. A run's id is made of it, so that a run that was cut off, or shared among processes, gives
  /// the files of one that was neither.
  var content: String { get }

  /// What a terminal shows of it.
  var overview: String { get }

  /// The files by name, each with the run's id: in `settings` of JSON, among the settings of Markdown and the page, as last
  /// column of CSV, as comment of SVG.
  func files(run: String) -> [(name: String, text: String)]
}

/// The id of the run that tables were made by, 32 hexadecimal digits.
///
/// - Parameters:
///   - rules: that it followed
///   - tables: all of them, in their order
public func evaluationRunID(_ rules: EvaluationProtocol, _ tables: [any TableFiles]) -> String {
  var hash = ContentHash()
  hash.add(rules.json)
  for table in tables { hash.add(table.content) }
  return hash.text
}

/// How files of each kind say which run they are of.
enum RunMark {
  static let key = "run_id"

  static func column(_ run: String?) -> String { run == nil ? "" : ",\(key)" }
  static func cell(_ run: String?) -> String { run.map { ",\($0)" } ?? "" }
  static func svg(_ text: String, _ run: String) -> String { "\(text)<!-- \(key) \(run) -->\n" }
}
