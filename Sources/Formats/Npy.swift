// NumPy's array files. Source: NumPy Enhancement Proposal 1, numpy/lib/format.py.

import Tensor

/// Reading and writing `.npy` files.
///
/// Versions 1, 2 and 3 are read, in both byte orders and both memory orders, of every numeric type that `Tensor` has.
/// Complex numbers, Python objects, strings, dates and records are errors that name the type.
public enum Npy {
  /// Reads an array. Little-endian data are a view on the mapped file, a Fortran-ordered array with its strides; only
  /// big-endian data are copied.
  ///
  /// - Throws: `FileError` when the file cannot be mapped, `NpyError` when it is malformed or of a type without
  ///   counterpart
  public static func read(path: String) throws -> Tensor { try read(MappedFile(path: path)) }

  /// Reads an array from a file that is mapped already, or from bytes in memory.
  public static func read(_ file: MappedFile) throws -> Tensor {
    try read(file, range: 0..<file.count, name: file.path)
  }

  /// Writes an array, little-endian and in row-major order, as version 1. The file appears under its name complete.
  ///
  /// NumPy has no bfloat16 and no 8-bit floats: their values are written as `f32`, which holds them exactly.
  public static func write(_ tensor: Tensor, to path: String, synchronised: Bool = false) throws {
    let tensor = storable(tensor)
    let file = try AtomicFile(path: path)
    try file.write(NpyHeader.encoded(tensor.dtype, tensor.shape))
    try tensor.withContiguousBytes { try file.write($0) }
    try file.commit(synchronised: synchronised)
  }

  /// The tensor itself, or its values in a type that NumPy has.
  static func storable(_ tensor: Tensor) -> Tensor {
    switch tensor.dtype {
    case .bf16, .f8e4m3, .f8e5m2: tensor.converted(to: .f32)
    default: tensor
    }
  }

  /// An array that is a part of a file, such as a member of an archive.
  static func read(_ file: MappedFile, range: Range<Int>, name: String) throws -> Tensor {
    try file.withBytes { bytes in
      let part = UnsafeRawBufferPointer(rebasing: bytes[range])
      let header = try NpyHeader(part, path: name)
      if let type = header.textType { throw NpyError(name, .unsupportedType("'\(type)'")) }
      guard let count = checkedElementCount(header.shape) else {
        throw NpyError(name, .shape(header.shape))
      }
      let size = count * header.dtype.size
      let found = part.count - header.dataOffset
      guard found == size else { throw NpyError(name, .dataSize(found: found, expected: size)) }
      let start = range.lowerBound + header.dataOffset
      let shape = header.isFortranOrder ? header.shape.reversed() : header.shape
      let stored = file.tensor(start..<start + size, header.dtype, shape)
      let tensor = header.isBigEndian ? swapped(stored) : stored
      return header.isFortranOrder ? tensor.permuted(tensor.shape.indices.reversed()) : tensor
    }
  }

  /// A copy with the bytes of every element in reverse order.
  private static func swapped(_ tensor: Tensor) -> Tensor {
    var result = tensor.copied()
    let size = tensor.dtype.size
    let count = tensor.byteCount
    let bytes = UnsafeMutableRawBufferPointer(start: result.uniquePointer(), count: count)
    for start in stride(from: 0, to: count, by: size) { bytes[start..<start + size].reverse() }
    return result
  }
}

/// A `.npy` file, or a member of a `.npz` file, that cannot be used.
public struct NpyError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    /// The file does not begin with the bytes of an npy file.
    case notNpy
    case version(major: UInt8, minor: UInt8)
    /// The file ends inside its header.
    case truncatedHeader(found: Int, expected: Int)
    /// The header is not the Python dictionary the format asks for.
    case syntax(offset: Int, expected: String)
    case unsupportedType(String)
    /// Numbers where strings were expected.
    case notStrings(String)
    /// A shape whose size does not fit, or with too many axes.
    case shape([Int])
    /// More or fewer bytes of data than shape and type need.
    case dataSize(found: Int, expected: Int)
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String { "npy file \(path): \(text)" }

  private var text: String {
    switch problem {
    case .notNpy: "expected the bytes \\x93NUMPY at the beginning, found others"
    case .version(let major, let minor): "version \(major).\(minor), expected 1.0, 2.0 or 3.0"
    case .truncatedHeader(let found, let expected): "found \(found) bytes, expected \(expected) for the header"
    case .syntax(let offset, let expected): "header, byte \(offset): expected \(expected)"
    case .unsupportedType(let type):
      "values of type \(type) are not supported, expected booleans, integers or real numbers"
    case .notStrings(let type): "found values of type \(type), expected strings"
    case .shape(let shape): "a shape of \(shape.count) axes, \(shape.prefix(8)), is too large"
    case .dataSize(let found, let expected): "found \(found) bytes of data, expected \(expected) from type and shape"
    }
  }
}
