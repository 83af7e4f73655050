import CKernels
import Glibc
import Synchronization

/// What the tensors of this process hold, and the pool that lends it to them.
///
/// A block that a tensor gives back is kept for the next tensor of its size, because fresh memory costs a page
/// fault per 4 KiB: a [4608, 3072] activation costs 42 ms fresh and 2 ms reused.
public enum Memory {
  /// Bytes held by living tensors (mapped files not counted).
  public static var live: Int { StoragePool.shared.state.withLock { $0.live } }
  /// Bytes kept for reuse.
  public static var cached: Int { StoragePool.shared.state.withLock { $0.cached } }
  /// The highest `live` since the start or the last `resetPeak()`.
  public static var peak: Int { StoragePool.shared.state.withLock { $0.peak } }
  public static func resetPeak() { StoragePool.shared.state.withLock { $0.peak = $0.live } }

  /// Bytes the pool may keep for reuse; a quarter of the machine's memory unless set.
  public static var cacheLimit: Int {
    get { StoragePool.shared.state.withLock { $0.limit } }
    set {
      StoragePool.shared.state.withLock { $0.limit = max(0, newValue) }
      if cached > newValue { trim() }
    }
  }

  /// Returns all cached blocks to the system: call it between phases that need different sizes.
  public static func trim() { StoragePool.shared.trim() }

  /// The same but for blocks of the size of `byteCount` bytes: for a phase that goes on with tensors of that size.
  public static func trim(keeping byteCount: Int) {
    StoragePool.shared.trim(keeping: StoragePool.capacity(for: byteCount))
  }
}

/// Free lists by size class under one lock.
package final class StoragePool: Sendable {
  static let shared = StoragePool()

  package struct State {
    package var free: [Int: [UInt]] = [:]  // capacity → addresses
    package var cached = 0, live = 0, peak = 0
    package var limit = StoragePool.physicalMemory / 4
  }
  package let state = Mutex(State())

  package init() {}

  /// Sizes are rounded up to at most 1/8 more, so that nearly equal activations share their blocks.
  package static func capacity(for byteCount: Int) -> Int {
    guard byteCount > 4096 else { return max(64, (byteCount + 63) / 64 * 64) }
    let step = max(4096, 1 << (Int.bitWidth - byteCount.leadingZeroBitCount - 4))
    return (byteCount + step - 1) / step * step
  }

  package func take(_ capacity: Int) -> UnsafeMutableRawPointer {
    let reused = state.withLock { state -> UInt? in
      state.live += capacity
      state.peak = max(state.peak, state.live)
      guard let address = state.free[capacity]?.popLast() else { return nil }
      state.cached -= capacity
      return address
    }
    if let reused, let base = UnsafeMutableRawPointer(bitPattern: reused) { return base }
    return allocate(capacity)
  }

  package func give(_ base: UnsafeMutableRawPointer, _ capacity: Int) {
    let kept = state.withLock { state in
      state.live -= capacity
      guard state.cached + capacity <= state.limit else { return false }
      state.cached += capacity
      state.free[capacity, default: []].append(UInt(bitPattern: base))
      return true
    }
    if !kept { free(base) }
  }

  /// - Parameter kept: the capacity whose blocks stay
  package func trim(keeping kept: Int? = nil) {
    let blocks = state.withLock { state in
      let all = state.free
      state.free = all.filter { $0.key == kept }
      state.cached = state.free.reduce(0) { $0 + $1.key * $1.value.count }
      return all.filter { $0.key != kept }.values.flatMap { $0 }
    }
    for address in blocks { free(UnsafeMutableRawPointer(bitPattern: address)) }
    ck_memory_trim()
  }

  private func allocate(_ capacity: Int) -> UnsafeMutableRawPointer {
    let huge = capacity >= 4 << 20
    var base: UnsafeMutableRawPointer?
    guard posix_memalign(&base, huge ? 2 << 20 : 64, capacity) == 0, let base else {
      trim()
      guard posix_memalign(&base, 64, capacity) == 0, let base else {
        tensorFailure("Tensor: out of memory: \(capacity) bytes asked for, \(Memory.live) live")
      }
      return base
    }
    // Huge pages make the first touch four times cheaper; a kernel without them says no, which is fine.
    if huge { madvise(base, capacity, MADV_HUGEPAGE) }
    return base
  }

  private static var physicalMemory: Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES)), size = sysconf(Int32(_SC_PAGESIZE))
    return pages > 0 && size > 0 ? pages * size : 4 << 30
  }
}
