import Foundation

/// Memory that is read before each run, so that the caches hold nothing the run needs: as in a model, whose weights are each
/// read once a step.
public final class CacheSweep {
  public let byteCount: Int
  private let memory: UnsafeMutableRawBufferPointer

  public init(byteCount: Int = CacheSweep.bytesBeyondCache) {
    self.byteCount = byteCount
    memory = .allocate(byteCount: byteCount, alignment: 64)
    // Pages that were never written to are all the same one.
    memory.initializeMemory(as: UInt8.self, repeating: 1)
  }

  deinit { memory.deallocate() }

  /// Reads every line of it.
  public func run() {
    var sum = 0
    for line in stride(from: 0, to: byteCount, by: 64) { sum &+= Int(memory[line]) }
    keep(sum)
  }

  /// More than the last level holds, as far as that is known, within reason.
  public static var bytesBeyondCache: Int {
    let cache = sysconf(Int32(_SC_LEVEL3_CACHE_SIZE))
    return min(max(4 * cache, 256 << 20), 512 << 20)
  }
}
