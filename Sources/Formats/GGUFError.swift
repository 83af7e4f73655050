// What can be wrong with a GGUF file.

import Tensor

/// A GGUF file that cannot be used.
public struct GGUFError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case notGGUF
    case version(UInt32)
    /// The file ends inside its header.
    case truncated(what: String, offset: Int)
    /// A count that the rest of the file cannot hold.
    case count(what: String, found: UInt64, limit: Int)
    case invalid(what: String, offset: Int, expected: String)
    case duplicateName(String)
    case unknownType(tensor: String, type: UInt32)
    /// A type of the format whose values cannot be read.
    case unsupportedType(tensor: String, type: String)
    case shape(tensor: String, [UInt64])
    /// A row of a block-quantised tensor must consist of whole blocks.
    case blocks(tensor: String, columns: Int, blockSize: Int)
    case place(tensor: String, found: String, expected: String)
    case missingTensor(String, similar: [String])
    /// The tensor's elements are plain numbers, not blocks of codes.
    case notQuantized(tensor: String, type: String)
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String { "GGUF file \(path): \(text)" }

  private var text: String {
    switch problem {
    case .notGGUF: "expected the bytes GGUF at the beginning, found others"
    case .version(let version):
      "version \(version), expected 2 or 3"
        + (version.byteSwapped < 16 ? " (a big-endian file of version \(version.byteSwapped))" : "")
    case .truncated(let what, let offset): "the file ends inside \(what) at byte \(offset)"
    case .count(let what, let found, let limit): "found \(found) \(what), expected at most \(limit)"
    case .invalid(let what, let offset, let expected): "\(what) at byte \(offset): expected \(expected)"
    case .duplicateName(let name): "'\(name)' occurs twice"
    case .unknownType(let tensor, let type): "tensor '\(tensor)': unknown type \(type)"
    case .unsupportedType(let tensor, let type): "tensor '\(tensor)': values of type \(type) are not supported"
    case .shape(let tensor, let shape): "tensor '\(tensor)': a shape of \(shape.count) axes, \(shape), is too large"
    case .blocks(let tensor, let columns, let blockSize):
      "tensor '\(tensor)': rows of \(columns) values, expected a multiple of \(blockSize)"
    case .place(let tensor, let found, let expected): "tensor '\(tensor)': data at \(found), expected \(expected)"
    case .missingTensor(let name, let similar):
      "no tensor '\(name)'" + (similar.isEmpty ? "" : "; there are \(similar.joined(separator: ", "))")
    case .notQuantized(let tensor, let type): "tensor '\(tensor)': type \(type), expected a block-quantised type"
    }
  }
}
