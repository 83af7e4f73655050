// Large parts of mapped files coming into memory and leaving it, on purpose rather than page by page.

import Glibc
import Synchronization

extension MappedFile {
  /// Of one request to the disk: large enough for its full speed, small enough to stop soon.
  private static let piece = 16 << 20

  /// Where bytes in memory lie in the file; nil for bytes that are not this file's.
  package func range(of bytes: UnsafeRawBufferPointer) -> Range<Int>? {
    guard let start = bytes.baseAddress, let base = self.bytes.baseAddress else { return nil }
    let offset = start - base
    return offset >= 0 && offset + bytes.count <= count ? offset..<offset + bytes.count : nil
  }

  /// Reads a range from the disk in large pieces, front to back, and returns when all of it is in memory and may be used
  /// without a page fault.
  ///
  /// - Parameter isCancelled: asked between the pieces
  package func populate(_ range: Range<Int>, isCancelled: () -> Bool = { false }) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let range = range.clamped(to: 0..<count)
    var start = range.lowerBound / page * page
    advise(.willNeed, start..<min(start + Self.piece, range.upperBound))
    while start < range.upperBound, !isCancelled() {
      let end = min(start + Self.piece, range.upperBound)
      // The disk works on the next piece while this one's pages are entered.
      advise(.willNeed, end..<min(end + Self.piece, range.upperBound))
      enter(start..<end, page)
      start = end
    }
  }

  /// Lets a range leave the memory altogether, the system's cache of files included, so that something else has room.
  package func evict(_ range: Range<Int>) {
    advise(.dontNeed, range)
    #if os(Linux)
      let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      guard descriptor >= 0 else { return }
      posix_fadvise(descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
      close(descriptor)
    #endif
  }

  /// Enters the pages of a range into this process's tables, waiting for the disk.
  private func enter(_ range: Range<Int>, _ page: Int) {
    guard let base = bytes.baseAddress else { return }
    // Linux 5.14; older systems refuse it.
    let populateRead: Int32 = 22
    let start = UnsafeMutableRawPointer(mutating: base + range.lowerBound)
    if madvise(start, range.count, populateRead) == 0 || errno == EFAULT || errno == EHWPOISON { return }
    var sum: UInt8 = 0
    for offset in stride(from: 0, to: range.count, by: page) {
      sum &+= start.load(fromByteOffset: offset, as: UInt8.self)
    }
    Self.sink.store(sum, ordering: .relaxed)
  }

  /// Where touched bytes go, so that touching them is not left out.
  private static let sink = Atomic<UInt8>(0)
}
