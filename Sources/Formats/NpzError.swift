// What can be wrong with an npz archive.

/// A `.npz` archive that cannot be used. What is wrong inside a member is an `NpyError`.
public struct NpzError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    /// There is no end-of-directory record: not a zip file, or one cut short.
    case notZip
    /// A record of the archive lies outside the file or is not what it should be.
    case directory(String)
    case duplicateName(String)
    case missingArray(String, names: [String])
    case encrypted(member: String)
    case unsupportedMethod(member: String, method: UInt16)
    /// The compressed data are damaged.
    case deflate(member: String, reason: String)
    case size(member: String, found: Int, expected: Int)
    case checksum(member: String, found: UInt32, expected: UInt32)
    case unwritable(String)
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String { "npz file \(path): \(text)" }

  private var text: String {
    switch problem {
    case .notZip: "expected a zip archive, found no end-of-directory record"
    case .directory(let reason): "directory: \(reason)"
    case .duplicateName(let name): "array '\(name)' occurs twice"
    case .missingArray(let name, let names):
      "no array '\(name)'; there are \(names.prefix(8).joined(separator: ", "))\(names.count > 8 ? ", …" : "")"
    case .encrypted(let member): "member '\(member)' is encrypted"
    case .unsupportedMethod(let member, let method):
      "member '\(member)': compression method \(method), expected 0 (stored) or 8 (deflate)"
    case .deflate(let member, let reason): "member '\(member)': damaged compressed data, \(reason)"
    case .size(let member, let found, let expected): "member '\(member)': found \(found) bytes, expected \(expected)"
    case .checksum(let member, let found, let expected):
      "member '\(member)': checksum \(String(found, radix: 16)), expected \(String(expected, radix: 16))"
    case .unwritable(let reason): "cannot write: \(reason)"
    }
  }
}
