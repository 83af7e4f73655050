import Formats
import Foundation
import Tensor
import Testing

/// Files for the format tests: committed ones, and a folder of one's own to write into.
enum FormatFixtures {
  static func path(_ name: String, file: StaticString = #filePath) -> String {
    URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/\(name)").path
  }

  static func contents(_ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(name))))
  }

  static func contents(folder: String, _ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  static func list(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }
}

/// Calls `body` with a file's bytes, and expects that every shorter version of it is refused with an `Expected`.
func expectEveryTruncationThrows<Expected: Error>(
  _ bytes: [UInt8], _ expected: Expected.Type, step: Int = 1, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (MappedFile) throws -> Void
) {
  #expect(throws: Never.self, sourceLocation: sourceLocation) { try body(MappedFile(contents: bytes, name: "whole")) }
  for length in stride(from: 0, to: bytes.count, by: step) {
    #expect(throws: Expected.self, "cut to \(length) of \(bytes.count) bytes", sourceLocation: sourceLocation) {
      try body(MappedFile(contents: Array(bytes[..<length]), name: "cut"))
    }
  }
}

/// Calls `body` with versions of a file in which one bit is turned. Each must be read, or refused with an `Expected`.
///
/// - Returns: how many were refused
@discardableResult
func expectBitFlipsAreHarmless<Expected: Error>(
  _ bytes: [UInt8], _ expected: Expected.Type, step: Int = 1, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (MappedFile) throws -> Void
) -> Int {
  var refused = 0
  for bit in stride(from: 0, to: bytes.count * 8, by: step) {
    var changed = bytes
    changed[bit / 8] ^= 1 << UInt8(bit % 8)
    do {
      try body(MappedFile(contents: changed, name: "bit \(bit)"))
    } catch is Expected {
      refused += 1
    } catch {
      Issue.record("bit \(bit): unexpected \(error)", sourceLocation: sourceLocation)
    }
  }
  return refused
}
