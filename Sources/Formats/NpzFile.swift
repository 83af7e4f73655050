// NumPy's archives: a zip file with one npy file per array.

import Tensor

/// An npz archive: the names of its arrays are known at once, each array is read (and unpacked) when asked for.
///
/// Stored and deflated members are read, with or without data descriptors and zip64 fields. A stored array is a view
/// on the mapped file. Every access compares the checksum.
public struct NpzFile: Sendable {
  public let path: String
  /// Names of the arrays in the order of the archive, without the ending `.npy`.
  public let names: [String]
  private let archive: ZipArchive
  private let members: [String: ZipMember]

  /// - Throws: `FileError` when the file cannot be mapped, `NpzError` when it is not a sound archive
  public init(path: String) throws { try self.init(MappedFile(path: path)) }

  /// Reads an archive that is mapped already, or bytes in memory.
  public init(_ file: MappedFile) throws {
    path = file.path
    archive = try ZipArchive(file)
    var members: [String: ZipMember] = [:]
    var names: [String] = []
    for member in archive.members {
      let name = member.name.hasSuffix(".npy") ? String(member.name.dropLast(4)) : member.name
      guard members.updateValue(member, forKey: name) == nil else {
        throw NpzError(file.path, .duplicateName(name))
      }
      names.append(name)
    }
    self.members = members
    self.names = names
  }

  public func contains(_ name: String) -> Bool { members[name] != nil }

  /// - Throws: `NpzError` when there is no such array or its data are damaged, `NpyError` when it is not a sound array
  public func tensor(_ name: String) throws -> Tensor {
    let (file, range, member) = try contents(name)
    return try Npy.read(file, range: range, name: "\(path)/\(member)")
  }

  func contents(_ name: String) throws -> (file: MappedFile, range: Range<Int>, member: String) {
    guard let member = members[name] else { throw NpzError(path, .missingArray(name, names: names)) }
    let (file, range) = try archive.contents(member)
    return (file, range, member.name)
  }

  /// An array, or nil when there is none of that name or it cannot be read.
  public subscript(_ name: String) -> Tensor? { try? tensor(name) }

  /// Writes arrays to a new archive, sorted by name.
  ///
  /// - Parameter compressed: packs the arrays with deflate, as `numpy.savez_compressed` does
  public static func write(
    _ tensors: [String: Tensor], to path: String, compressed: Bool = false, synchronised: Bool = false
  ) throws {
    var writer = try NpzWriter(path: path, compressed: compressed)
    for (name, tensor) in tensors.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      try writer.write(name, tensor)
    }
    try writer.finish(synchronised: synchronised)
  }
}
