import Synchronization
import Tensor
import Testing

@Suite struct MemoryTests {
  @Test func regionsCoverEveryIndexOnce() {
    for count in [0, 1, 7, 1000, 100_003] {
      let hits = Mutex([UInt8](repeating: 0, count: count))
      parallelFor(count, grain: 3) { range in hits.withLock { for i in range { $0[i] += 1 } } }
      #expect(hits.withLock { $0.allSatisfy { $0 == 1 } })
    }
  }

  @Test func nestedRegionsFinish() {
    let sum = Atomic(0)
    parallelFor(16) { outer in
      for _ in outer { parallelFor(10) { inner in sum.add(inner.count, ordering: .relaxed) } }
    }
    #expect(sum.load(ordering: .relaxed) == 160)
  }

  @Test func poolReusesBlocksUpToItsLimit() {
    let pool = StoragePool()
    let size = StoragePool.capacity(for: 100_000)
    let first = pool.take(size)
    pool.give(first, size)
    #expect(pool.state.withLock { ($0.live, $0.cached) } == (0, size))
    let second = pool.take(size)
    #expect(second == first)
    pool.state.withLock { $0.limit = size - 1 }
    pool.give(second, size)
    #expect(pool.state.withLock { ($0.live, $0.cached, $0.peak) } == (0, 0, size))
  }

  @Test func trimGivesEverythingBack() {
    let pool = StoragePool()
    let size = StoragePool.capacity(for: 5 << 20)
    pool.give(pool.take(size), size)
    pool.trim()
    #expect(pool.state.withLock { $0.cached == 0 && $0.free.isEmpty })
  }

  @Test func trimKeepsWhatItIsTold() {
    let pool = StoragePool()
    let (kept, other) = (StoragePool.capacity(for: 5 << 20), StoragePool.capacity(for: 6 << 20))
    let blocks = [pool.take(kept), pool.take(kept)], more = pool.take(other)
    for block in blocks { pool.give(block, kept) }
    pool.give(more, other)
    pool.trim(keeping: kept)
    #expect(pool.state.withLock { $0.cached == 2 * kept && Set($0.free.keys) == [kept] })
    #expect(Set([pool.take(kept), pool.take(kept)]) == Set(blocks))
    #expect(pool.state.withLock { $0.cached } == 0)
  }

  @Test(arguments: [0, 1, 64, 65, 4096, 4097, 5000, 1 << 20, (1 << 20) + 1, 56_623_104])
  func sizeClassesWasteAtMostAnEighth(_ bytes: Int) {
    let capacity = StoragePool.capacity(for: bytes)
    #expect(capacity >= bytes && capacity <= max(bytes + 4096, bytes + bytes / 8))
  }
}
