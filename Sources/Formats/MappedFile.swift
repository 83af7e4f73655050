// The bytes of a file, mapped read-only: what the format readers parse and what tensors of a checkpoint lie in.

import CSignals
import Glibc

/// The bytes of a file, mapped into memory for reading, or bytes that are in memory already.
///
/// Pages are read from the disk when they are first touched, and the system may drop them again; a checkpoint larger
/// than the memory can be mapped. The mapping lives as long as this object, and tensors that lie in it keep it alive.
///
/// The size is taken once, when the file is mapped. A file that another process truncates afterwards loses its pages,
/// and touching them ends this process with SIGBUS, or with a message, see ``exitOnLostPages(code:)``; replace files by
/// renaming a new one over them, as every writer of this package does, and never by rewriting them in place.
public final class MappedFile: Sendable {
  public let path: String
  /// Size in bytes.
  public let count: Int
  private nonisolated(unsafe) let base: UnsafeRawPointer
  private let isMapping: Bool
  /// In the list that the handler of lost pages reads; 0 for none.
  private let registration: Int

  /// Maps the file at `path`.
  ///
  /// Never waits for anybody: pipes, sockets, terminals and other devices are refused without being opened.
  ///
  /// - Throws: `FileError` when the file cannot be opened, is not a regular file, or cannot be mapped
  public init(path: String) throws {
    guard !path.utf8.contains(0) else { throw FileError("open", path, code: ENOENT) }
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError("open", path) }
    try Self.requireRegular(status, path)
    // Should a pipe take the file's place in between, it must not block either.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    guard fstat(descriptor, &status) == 0 else { throw FileError("open", path) }
    try Self.requireRegular(status, path)
    guard let size = Int(exactly: status.st_size) else { throw FileError("map", path, code: EFBIG) }
    self.path = path
    count = size
    isMapping = size > 0
    guard size > 0 else {
      base = UnsafeRawPointer(Self.allocated(bytes: 0))
      registration = 0
      return
    }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw FileError("map", path)
    }
    base = UnsafeRawPointer(address)
    registration = cs_mapping_add(address, size, path)
  }

  /// For programs, to call when they start: from now on, touching a page that a mapped file has lost (it was truncated, its
  /// disk went) ends the process with a message that names the file, and with `code`, rather than with SIGBUS.
  public static func exitOnLostPages(code: Int32) { cs_exit_on_lost_pages(code) }

  private static func requireRegular(_ status: stat, _ path: String) throws {
    switch status.st_mode & S_IFMT {
    case S_IFREG: return
    case S_IFDIR: throw FileError("open", path, code: EISDIR)
    default:
      throw FileError("open", path, code: EINVAL, reason: "expected a regular file, not a pipe, socket or device")
    }
  }

  /// A copy of bytes in memory that the format readers can treat as a file.
  ///
  /// - Parameter name: stands for the path in error messages
  public convenience init(contents: [UInt8], name: String) {
    self.init(name: name, count: contents.count) { $0.copyBytes(from: contents) }
  }

  /// Memory that `fill` writes completely, for contents that have to be unpacked first.
  init<Failure: Error>(
    name: String, count: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    path = name
    self.count = count
    isMapping = false
    registration = 0
    let memory = Self.allocated(bytes: count)
    base = UnsafeRawPointer(memory)
    try fill(UnsafeMutableRawBufferPointer(start: memory, count: count))
  }

  deinit {
    if isMapping {
      cs_mapping_remove(registration)
      munmap(UnsafeMutableRawPointer(mutating: base), count)
    } else {
      base.deallocate()
    }
  }

  /// All bytes. Valid only while this object lives: hold it, or use ``withBytes(_:)``.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Calls `body` with all bytes of the file.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(bytes) }
  }

  /// What the system should expect of a range of bytes.
  public enum Advice: Sendable {
    /// It will be read soon: start reading ahead.
    case willNeed
    /// It will not be read for a while: its pages may go. They are read from the disk again when touched.
    case dontNeed
    /// It will be read from front to back.
    case sequential
  }

  /// Tells the system how a range of bytes is going to be used. Only pages that lie wholly in the range are dropped,
  /// so that a neighbour's bytes stay.
  ///
  /// - Parameter range: byte offsets in the file; the part beyond its end is ignored
  public func advise(_ advice: Advice, _ range: Range<Int>? = nil) {
    guard isMapping else { return }
    let range = (range ?? 0..<count).clamped(to: 0..<count)
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    var lower = range.lowerBound / page * page
    var upper = range.upperBound
    if advice == .dontNeed {
      lower = (range.lowerBound + page - 1) / page * page
      upper = upper == count ? count : upper / page * page
    }
    guard lower < upper else { return }
    let start = UnsafeMutableRawPointer(mutating: base + lower)
    switch advice {
    case .willNeed: madvise(start, upper - lower, Int32(MADV_WILLNEED))
    case .dontNeed: madvise(start, upper - lower, Int32(MADV_DONTNEED))
    case .sequential: madvise(start, upper - lower, Int32(MADV_SEQUENTIAL))
    }
  }

  /// Memory of exactly the size asked for, so that a sanitizer sees a reader's step beyond the end.
  private static func allocated(bytes: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
  }
}
