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
  withoutActuallyEscaping(body) { body in
    var region = Region { chunk in
      let start = chunk * size
      if start < count { body(start..<min(count, start + size)) }
    }
    withUnsafeMutablePointer(to: &region) { context in
      ck_pool_run(chunks, { $0?.assumingMemoryBound(to: Region.self).pointee.run($1) }, context)
    }
  }
}

private struct Region {
  let run: (Int) -> Void
}
