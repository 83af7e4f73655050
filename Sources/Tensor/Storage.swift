import Glibc

/// A reference-counted block of bytes: heap memory from the pool, or part of a mapped file.
///
/// `@unchecked Sendable`, the only one of the package: the bytes are written only through a `Tensor` that holds
/// the sole reference to a heap block (`isKnownUniquelyReferenced`), so nobody else can be reading them; mapped
/// bytes are never written.
public final class Storage: @unchecked Sendable {
  enum Origin {
    case heap(capacity: Int)
    case mapped(owner: any AnyObject & Sendable)
  }

  let base: UnsafeMutableRawPointer
  public let byteCount: Int
  let origin: Origin

  /// A block of at least `byteCount` bytes with undefined content, aligned to 64.
  package init(byteCount: Int) {
    self.byteCount = byteCount
    let capacity = StoragePool.capacity(for: byteCount)
    base = StoragePool.shared.take(capacity)
    origin = .heap(capacity: capacity)
  }

  /// Bytes that belong to `owner` (a mapped file), at any alignment.
  ///
  /// The bytes must stay valid and unchanged while `owner` lives.
  package init(mapped base: UnsafeRawPointer, byteCount: Int, owner: any AnyObject & Sendable) {
    self.base = UnsafeMutableRawPointer(mutating: base)
    self.byteCount = byteCount
    origin = .mapped(owner: owner)
  }

  /// The mapped file that the bytes lie in, and the bytes; nil for memory of one's own.
  package var mapping: (owner: any AnyObject & Sendable, bytes: UnsafeRawBufferPointer)? {
    guard case .mapped(let owner) = origin else { return nil }
    return (owner, UnsafeRawBufferPointer(start: base, count: byteCount))
  }

  var isWritable: Bool {
    if case .heap = origin { true } else { false }
  }

  deinit {
    if case .heap(let capacity) = origin { StoragePool.shared.give(base, capacity) }
  }
}
