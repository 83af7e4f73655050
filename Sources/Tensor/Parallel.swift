import CKernels

/// How many threads a computation may use.
public enum Threads {
  /// The CPUs this process may run on, unless set.
  public static var count: Int {
    get { ck_pool_threads() }
    set { ck_pool_set_threads(max(1, newValue)) }
  }
}

/// Runs `body` over `0 ..< count` in ranges of at least `grain`, on the caller and the pool's workers.
///
/// Ranges run in any order and at the same time: `body` must write only what belongs to its range.
package func parallelFor(_ count: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
  guard count > 0 else { return }
  // Four chunks per thread even out a thread that is held up, without many claims.
  let chunks = min((count + grain - 1) / grain, Threads.count * 4)
  if chunks <= 1 {
    body(0..<count)
    return
  }
  let size = (count + chunks - 1) / chunks
  run(chunks, on: ck_pool_run) { chunk in
    let start = chunk * size
    if start < count { body(start..<min(count, start + size)) }
  }
}

/// Runs `body` for parts `0 ..< count`, each part on the same thread in every call, where that thread is free: what a
/// part reads and writes again and again stays in the caches of one core.
func parallelInPlace(_ count: Int, threads: Int, _ body: (Int) -> Void) {
  let chunks = min(count, threads, 32)
  run(chunks, on: ck_pool_run_placed) { chunk in
    for part in stride(from: chunk, to: count, by: chunks) { body(part) }
  }
}

private func run(
  _ chunks: Int,
  on pool: (Int, @Sendable @convention(c) (UnsafeMutableRawPointer?, Int) -> Void, UnsafeMutableRawPointer?) -> Void,
  _ body: (Int) -> Void
) {
  withoutActuallyEscaping(body) { body in
    let forced = Kernels.forced
    var region = Region { chunk in
      // A worker belongs to no task, and would not see what holds in the caller's.
      if let forced { Kernels.with(forced) { body(chunk) } } else { body(chunk) }
    }
    withUnsafeMutablePointer(to: &region) { context in
      pool(chunks, { $0?.assumingMemoryBound(to: Region.self).pointee.run($1) }, context)
    }
  }
}

private struct Region {
  let run: (Int) -> Void
}
