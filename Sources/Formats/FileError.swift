// What the operating system refused: opening, mapping, writing or renaming a file.

import Glibc

/// An operation on a file that the operating system refused.
public struct FileError: Error, Equatable, CustomStringConvertible {
  public let path: String
  /// What was tried, as a verb: "open", "map", "write".
  public let operation: String
  /// The system's error number.
  public let code: Int32
  /// In place of the system's text for the number.
  let reason: String?

  package init(_ operation: String, _ path: String, code: Int32 = errno, reason: String? = nil) {
    self.reason = reason
    self.operation = operation
    self.path = path
    self.code = code
  }

  /// Why, in the system's words.
  public var explanation: String { reason ?? String(cString: strerror(code)) }

  public var description: String { "cannot \(operation) \(path.isEmpty ? "''" : path): \(explanation)" }
}
