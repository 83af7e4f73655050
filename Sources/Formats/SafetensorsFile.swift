// Reading safetensors files: https://huggingface.co/docs/safetensors, "Format".

import Tensor

/// A safetensors file, mapped into memory: names, types and shapes are known at once, values are read when used.
///
/// The header is checked completely when the file is opened: strict JSON, no name twice, sizes that fit the shapes,
/// data without holes and overlaps that end with the file. Two names that are the same text in different Unicode
/// normal forms count as one name, as Swift compares them.
public struct SafetensorsFile: Sendable {
  public let path: String
  /// The tensors, in the order of their data.
  public let entries: [SafetensorsEntry]
  /// Contents of `__metadata__`.
  public let metadata: [String: String]

  private let file: MappedFile
  private let indices: [String: Int]

  /// Maps the file and checks its header.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `SafetensorsError` when it is malformed
  public init(path: String) throws {
    try self.init(MappedFile(path: path))
  }

  /// Reads a file that is mapped already, or bytes in memory.
  public init(_ file: MappedFile) throws {
    let header = try file.withBytes { try SafetensorsHeader($0, path: file.path) }
    self.file = file
    path = file.path
    entries = header.entries
    metadata = header.metadata
    indices = Dictionary(header.entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The tensors' names, in the order of their data.
  public var names: [String] { entries.map(\.name) }

  public func contains(_ name: String) -> Bool { indices[name] != nil }

  /// Type, shape and place of a tensor; nil when there is none of that name.
  public func entry(_ name: String) -> SafetensorsEntry? { indices[name].map { entries[$0] } }

  /// A tensor of the file: a view on the mapping, which it keeps alive. Nothing is copied, and nothing read yet.
  ///
  /// The format aligns data to 8 bytes at best, so the elements may lie at any address.
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor, or `Tensor` cannot hold its type
  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entry(name) else {
      throw SafetensorsError(path, .missingTensor(name, similar: similarNames(to: name, in: names)))
    }
    guard let dtype = DType(entry.dtype) else {
      throw SafetensorsError(path, .unsupportedDType(tensor: name, dtype: entry.dtype.rawValue))
    }
    return file.tensor(entry.range, dtype, entry.shape)
  }

  /// A tensor of the file, or nil when there is none of that name or `Tensor` cannot hold its type.
  public subscript(_ name: String) -> Tensor? { try? tensor(name) }

  /// Tells the system that the bytes of these tensors will be read soon, or won't be for a while.
  public func advise(_ advice: MappedFile.Advice, _ names: some Sequence<String>) {
    for name in names {
      if let entry = entry(name) { file.advise(advice, entry.range) }
    }
  }

  /// Tells the system that the whole file will be read soon, or won't be for a while.
  public func advise(_ advice: MappedFile.Advice) { file.advise(advice) }
}

extension DType {
  /// The type that holds the values of a safetensors type, or nil when there is none.
  public init?(_ type: SafetensorsDType) {
    switch type {
    case .bool: self = .bool
    case .uint8: self = .u8
    case .int8: self = .i8
    case .float8E5M2: self = .f8e5m2
    case .float8E4M3: self = .f8e4m3
    case .int16: self = .i16
    case .uint16: self = .u16
    case .float16: self = .f16
    case .bfloat16: self = .bf16
    case .int32: self = .i32
    case .uint32: self = .u32
    case .float32: self = .f32
    case .float64: self = .f64
    case .int64: self = .i64
    case .uint64: self = .u64
    case .float4, .float6E2M3, .float6E3M2, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ, .complex64: return nil
    }
  }
}

extension SafetensorsDType {
  /// The name under which values of `dtype` are stored.
  public init(_ dtype: DType) {
    switch dtype {
    case .bool: self = .bool
    case .u8: self = .uint8
    case .i8: self = .int8
    case .f8e5m2: self = .float8E5M2
    case .f8e4m3: self = .float8E4M3
    case .i16: self = .int16
    case .u16: self = .uint16
    case .f16: self = .float16
    case .bf16: self = .bfloat16
    case .i32: self = .int32
    case .u32: self = .uint32
    case .f32: self = .float32
    case .f64: self = .float64
    case .i64: self = .int64
    case .u64: self = .uint64
    }
  }
}

/// Up to three names that someone who wrote `name` may have meant: they end alike, or contain it.
func similarNames(to name: String, in names: [String]) -> [String] {
  let last = name.split(separator: ".").suffix(2).joined(separator: ".")
  let candidates = names.filter { $0.hasSuffix(last) || name.hasSuffix($0) || $0.contains(name) }
  return candidates.prefix(3).map { "'\($0)'" }
}
