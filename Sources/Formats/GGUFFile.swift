// Reading GGUF files: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.

import Tensor

/// A GGUF file, mapped into memory: metadata and directory are known at once, values are read when used.
///
/// Shapes are given row-major, the reverse of the order in the file, so a linear layer's weight is `[out, in]` here as
/// everywhere else. Metadata strings that are not valid UTF-8 are repaired; names must be valid.
public struct GGUFFile: Sendable {
  public let path: String
  public let version: Int
  /// Data begin at multiples of this many bytes.
  public let alignment: Int
  public let metadata: [String: GGUFValue]
  /// The tensors, in the order of their data.
  public let entries: [GGUFEntry]

  private let file: MappedFile
  private let indices: [String: Int]

  /// Maps the file and checks its header.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `GGUFError` when it is malformed
  public init(path: String) throws { try self.init(MappedFile(path: path)) }

  /// Reads a file that is mapped already, or bytes in memory.
  public init(_ file: MappedFile) throws {
    let header = try file.withBytes { try GGUFHeader($0, path: file.path) }
    self.file = file
    path = file.path
    version = Int(header.version)
    alignment = header.alignment
    metadata = header.metadata
    entries = header.entries
    indices = Dictionary(header.entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The tensors' names, in the order of their data.
  public var names: [String] { entries.map(\.name) }

  public func contains(_ name: String) -> Bool { indices[name] != nil }

  /// Type, shape and place of a tensor; nil when there is none of that name.
  public func entry(_ name: String) -> GGUFEntry? { indices[name].map { entries[$0] } }

  /// A tensor of the file: plain numbers as a view on the mapping, block-quantised ones unpacked to `f32`.
  ///
  /// - Throws: `GGUFError` when there is no such tensor, or its type cannot be read
  public func tensor(_ name: String) throws -> Tensor {
    let entry = try required(name)
    if let dtype = entry.type.dtype { return file.tensor(entry.range, dtype, entry.shape) }
    return try quantized(name).dequantized()
  }

  /// A tensor of the file, or nil when there is none of that name or its type cannot be read.
  public subscript(_ name: String) -> Tensor? { try? tensor(name) }

  /// A block-quantised tensor as it lies in the file. It keeps the file mapped.
  ///
  /// - Throws: `GGUFError` when there is no such tensor, or it is not block-quantised in a way that can be read
  public func quantized(_ name: String) throws -> QuantizedMatrix {
    let entry = try required(name)
    guard entry.type.dtype == nil else {
      throw GGUFError(path, .notQuantized(tensor: name, type: entry.type.name))
    }
    guard let format = QuantizedMatrix.Format(entry.type) else {
      throw GGUFError(path, .unsupportedType(tensor: name, type: entry.type.name))
    }
    return QuantizedMatrix(format: format, shape: entry.shape, storage: file.storage(entry.range))
  }

  /// Tells the system that the bytes of these tensors will be read soon, or won't be for a while.
  public func advise(_ advice: MappedFile.Advice, _ names: some Sequence<String>) {
    for name in names {
      if let entry = entry(name) { file.advise(advice, entry.range) }
    }
  }

  /// Tells the system that the whole file will be read soon, or won't be for a while.
  public func advise(_ advice: MappedFile.Advice) { file.advise(advice) }

  private func required(_ name: String) throws -> GGUFEntry {
    guard let entry = entry(name) else {
      throw GGUFError(path, .missingTensor(name, similar: similarNames(to: name, in: names)))
    }
    return entry
  }
}
