// Output files: written beside their place under another name, then renamed, so that nobody sees half a file.

import CSignals
import Glibc

/// A file that appears under its name, complete, when it is committed, and not at all when it isn't.
///
/// Bytes go to a temporary file in the same folder; ``commit(synchronised:)`` renames it. A file that exists already
/// is replaced in one step, readers that have it mapped keep the old contents. Without a commit (an error was thrown)
/// the temporary file is removed when this object goes.
///
/// One task writes at a time.
public final class AtomicFile {
  public let path: String
  private let temporaryPath: String
  private let registration: Int
  private let descriptor: Int32
  private var isCommitted = false
  private var buffer: [UInt8] = []
  /// Bytes written so far, also those that wait in the buffer.
  public private(set) var position = 0

  private static let bufferSize = 1 << 18

  /// - Throws: `FileError` when no file can be created in the folder of `path`
  public init(path: String) throws {
    self.path = path
    (descriptor, temporaryPath) = try createTemporary(beside: path)
    registration = cs_temporary_add(temporaryPath)
    buffer.reserveCapacity(Self.bufferSize)
  }

  /// Whether a file could be put in this place, as far as that can be told without writing one.
  ///
  /// - Throws: `FileError` when a folder is there, or a pipe, socket or device, which would be gone
  public static func check(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return
    case S_IFDIR: throw FileError("write", path, code: EISDIR)
    default:
      throw FileError("write", path, code: EINVAL, reason: "expected a regular file, not a pipe, socket or device")
    }
  }

  deinit {
    close(descriptor)
    if !isCommitted { unlink(temporaryPath) }
    cs_temporary_remove(registration)
  }

  /// Writes `contents` to `path`, atomically.
  public static func write(_ contents: [UInt8], to path: String, synchronised: Bool = false) throws {
    let file = try AtomicFile(path: path)
    try file.write(contents)
    try file.commit(synchronised: synchronised)
  }

  /// Appends bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    position += bytes.count
    if buffer.count + bytes.count <= Self.bufferSize {
      buffer.append(contentsOf: bytes)
      return
    }
    try flush()
    if bytes.count <= Self.bufferSize {
      buffer.append(contentsOf: bytes)
    } else {
      try writeThrough(bytes)
    }
  }

  /// Appends bytes.
  public func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Replaces bytes that were written before, such as a size that was not yet known.
  func overwrite(at offset: Int, _ bytes: [UInt8]) throws {
    try flush()
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { raw in
        pwrite(descriptor, raw.baseAddress.map { $0 + done }, raw.count - done, off_t(offset + done))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileError("write", path) }
      done += count
    }
  }

  /// Gives the file its name.
  ///
  /// - Parameter synchronised: waits until the bytes are on the disk, so that not even a power cut leaves half a file
  public func commit(synchronised: Bool = false) throws {
    try flush()
    if synchronised, fsync(descriptor) != 0 { throw FileError("synchronise", path) }
    guard rename(temporaryPath, path) == 0 else { throw FileError("replace", path) }
    isCommitted = true
  }

  private func flush() throws {
    try buffer.withUnsafeBytes { try writeThrough($0) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeThrough(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while let start = rest.baseAddress, rest.count > 0 {
      let count = systemWrite(descriptor, start, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileError("write", path) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}

/// A new file in the folder of `path`, with the permissions of any other new file.
///
/// - Throws: `FileError`, also where `path` is a folder or empty, which nothing could be renamed to
func createTemporary(beside path: String) throws -> (descriptor: Int32, path: String) {
  guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError("write", path, code: ENOENT) }
  try AtomicFile.check(path)
  for _ in 0..<16 {
    let candidate = temporaryName(beside: path)
    let descriptor = open(candidate, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    if descriptor >= 0 { return (descriptor, candidate) }
    if errno != EEXIST { break }
  }
  throw FileError("create", path)
}

/// `path.part-…`. A name that is too long for the file system with the ending is cut before it.
func temporaryName(beside path: String) -> String {
  let ending = temporaryMark + String(UInt64.random(in: 0 ... .max), radix: 36)
  let start = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path.utf8.index(after: $0) } ?? path.utf8.startIndex
  let name = path[start...]
  guard name.utf8.count + ending.utf8.count > 255 else { return path + ending }
  return path[..<start] + String(name.unicodeScalars.prefix(50)) + ending
}

/// What the names of unfinished files have before their last, random part.
let temporaryMark = ".part-"

/// The system's, whose name is taken within types.
func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
