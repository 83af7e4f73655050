import Foundation

/// The code in an article of the documentation, so that a test can hold it against what is compiled.
public enum Article {
  /// The package's folder, seen from a test's `#filePath`.
  public static func package(_ test: String = #filePath) -> URL {
    URL(fileURLWithPath: test).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  }

  /// The blocks of a language, in order, without the fences.
  public static func blocks(_ language: String, of article: String, test: String = #filePath) throws -> [String] {
    try String(contentsOf: package(test).appendingPathComponent(article), encoding: .utf8)
      .components(separatedBy: "```\(language)\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
  }

  public static func source(_ path: String, test: String = #filePath) throws -> String {
    try String(contentsOf: package(test).appendingPathComponent(path), encoding: .utf8)
  }
}
