// What can be wrong with a safetensors file or its index, in words that name the file and the thing.

import Tensor

/// A safetensors file, or the index of a sharded checkpoint, that cannot be used.
public struct SafetensorsError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    /// The file is shorter than the eight bytes of the header's length.
    case tooShort(bytes: Int)
    /// The header's length is beyond the end of the file, or beyond the format's limit.
    case headerLength(found: UInt64, available: Int)
    /// The header is not the JSON the format asks for.
    case syntax(offset: Int, expected: String)
    case duplicateName(String)
    case unknownDType(tensor: String, dtype: String)
    /// A type that the format knows and this package does not.
    case unsupportedDType(tensor: String, dtype: String)
    /// A shape whose size does not fit, or with too many axes.
    case shape(tensor: String, [Int])
    /// The bytes of a tensor are not as many as its shape and type need.
    case size(tensor: String, found: Int, expected: Int)
    /// A tensor does not begin where the one before it ends: a hole, an overlap, or a reversed range.
    case offsets(tensor: String, found: Range<Int>?, expectedStart: Int)
    /// The data of all tensors do not fill the file.
    case dataSize(found: Int, expected: Int)
    case missingTensor(String, similar: [String])
    /// The index file is not the JSON that it should be.
    case index(String)
    /// A shard of the index is not there, or its name leads out of the folder.
    case shard(String, reason: String)
    /// The index says that a shard holds a tensor, and it doesn't.
    case notInShard(tensor: String, shard: String)
    /// A tensor of a shard is not in the index.
    case notInIndex(tensor: String, shard: String)
    /// Writing: two tensors have one name, a name is not allowed, or a tensor is not the one announced.
    case unwritable(String)
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String { "safetensors file \(path): \(text)" }

  private var text: String {
    switch problem {
    case .tooShort(let bytes):
      "expected at least 8 bytes for the header's length, found \(bytes)"
    case .headerLength(let found, let available):
      "the header's length is \(found), expected at most \(available) bytes"
    case .syntax(let offset, let expected):
      "header, byte \(offset): expected \(expected)"
    case .duplicateName(let name):
      "header: '\(name)' occurs twice"
    case .unknownDType(let tensor, let dtype):
      "tensor '\(tensor)': unknown type '\(dtype)', expected one of "
        + SafetensorsDType.allCases.map(\.rawValue).joined(separator: ", ")
    case .unsupportedDType(let tensor, let dtype):
      "tensor '\(tensor)': values of type \(dtype) are not supported"
    case .shape(let tensor, let shape):
      "tensor '\(tensor)': a shape of \(shape.count) axes, \(shape.prefix(8)), is too large"
    case .size(let tensor, let found, let expected):
      "tensor '\(tensor)': found \(found) bytes, expected \(expected) from its type and shape"
    case .offsets(let tensor, let found, let expectedStart):
      "tensor '\(tensor)': data at bytes \(found.map { "\($0.lowerBound) to \($0.upperBound)" } ?? "in reverse"), "
        + "expected to begin at \(expectedStart)"
    case .dataSize(let found, let expected):
      "found \(found) bytes of data, expected \(expected) from the header"
    case .missingTensor(let name, let similar):
      "no tensor '\(name)'" + (similar.isEmpty ? "" : "; there are \(similar.joined(separator: ", "))")
    case .index(let reason):
      "index: \(reason)"
    case .shard(let shard, let reason):
      "shard '\(shard)': \(reason)"
    case .notInShard(let tensor, let shard):
      "tensor '\(tensor)': expected in shard '\(shard)', which does not have it"
    case .notInIndex(let tensor, let shard):
      "tensor '\(tensor)' of shard '\(shard)': expected in the weight_map, which does not name it"
    case .unwritable(let reason):
      "cannot write: \(reason)"
    }
  }
}
