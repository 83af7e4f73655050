import Synchronization
import Tensor

/// First-block caching: when what the first block adds to the image tokens has hardly changed since the last step that was
/// computed in full, what all later blocks add is taken from that step.
///
/// What is looked at is never skipped. A block that a processor looks at, or through which a rider travels, runs, on what the
/// blocks before it give, and the picture is the same as if nobody looked. A pass that a processor changes is computed in
/// full.
///
/// Source: ParaAttention (chengzeyi) `first_block_cache`; diffusers `FirstBlockCacheConfig`. There, too, the change is the
/// mean absolute difference over the mean absolute value, and is measured from the last step computed in full.
public final class BlockCache: Sendable {
  /// The relative change of the first block's addition below which later blocks are skipped; 0.05 … 0.15 in practice.
  public let threshold: Float
  private let state = Mutex(State())

  private struct State {
    var blocks = 0, skipped = 0
    var kept: [Pass.Branch: Kept] = [:]
  }

  struct Kept {
    /// What the first block, and all later ones, added to the image tokens, `[batch, tokens, dim]`.
    var head, tail: Tensor
  }

  public init(threshold: Float) { self.threshold = threshold }

  /// Blocks of all passes so far.
  public var blocks: Int { state.withLock { $0.blocks } }
  /// Those of them that were not run.
  public var skippedBlocks: Int { state.withLock { $0.skipped } }

  /// What later blocks add; nil where they have to be computed.
  func tail(_ branch: Pass.Branch, head: Tensor) -> Tensor? {
    guard let kept = state.withLock({ $0.kept[branch] }), kept.head.shape == head.shape else { return nil }
    let change = (head - kept.head).absolute().mean().item, size = kept.head.absolute().mean().item
    return change < threshold * size ? kept.tail : nil
  }

  func keep(_ branch: Pass.Branch, _ addition: Kept) { state.withLock { $0.kept[branch] = addition } }

  func count(blocks: Int, skipped: Int) {
    state.withLock { state in
      state.blocks += blocks
      state.skipped += skipped
    }
  }

  /// Why nothing can ever be skipped in a run; nil when something can.
  ///
  /// - Parameters:
  ///   - run: nil when no processor looks
  ///   - passes: of the run
  public static func obstacle(_ run: HookRun?, _ passes: [Pass], blocks: [BlockID]) -> String? {
    guard let steps = passes.map(\.step).max(), let first = passes.map(\.step).min(), steps > first else {
      return "the run has one step, and the first is always computed"
    }
    guard blocks.count > 1 else { return "the model has one block" }
    guard let run, let last = blocks.last else { return nil }
    var reasons: [String] = []
    for pass in passes where pass.step > first {
      switch run.demand(in: pass, of: blocks) {
      case .nothing: return nil
      case .looks(last, let processor): reasons.append("\(processor) looks at the last block, \(last), in every step")
      case .looks: return nil
      case .changes(let processor): reasons.append("\(processor) changes what blocks compute in every step")
      }
    }
    return reasons.first
  }
}

extension BlockCache {
  /// What it remembers, to go on in another process, by names.
  public var memory: [String: Tensor] {
    state.withLock { $0.kept }.reduce(into: [:]) { memory, entry in
      memory["\(entry.key.rawValue).head"] = entry.value.head
      memory["\(entry.key.rawValue).tail"] = entry.value.tail
    }
  }

  /// Takes up what another process remembered. What is no pair is left out.
  public func recall(_ memory: [String: Tensor]) {
    for (name, head) in memory where name.hasSuffix(".head") {
      let branch = String(name.dropLast(5))
      if let key = Pass.Branch(rawValue: branch), let tail = memory["\(branch).tail"], tail.shape == head.shape {
        keep(key, Kept(head: head, tail: tail))
      }
    }
  }
}

/// The blocks that a pass still has before it.
struct BlockRoute {
  private(set) var ahead: [BlockID]
  private let pass: (branch: Pass.Branch, hooks: HookRun?)
  private let all: [BlockID]
  /// Image tokens as they enter, and as they leave the first block; nil without a cache.
  private var entered, left: Tensor?
  /// The pass's outcome, where the cache knows it, and how many blocks it spares.
  private var outcome: Tensor?
  private var spared = 0

  init(_ pass: RunningPass, _ blocks: [BlockID], _ cache: BlockCache?) {
    self.pass = (pass.branch, pass.hooks)
    (all, ahead) = (blocks, blocks)
    entered = cache == nil ? nil : pass.streams[.image].tokens
  }

  mutating func didRun(_ block: BlockID, _ streams: inout [Stream], _ cache: BlockCache?) {
    ahead.removeFirst()
    guard let cache, let before = entered, block == all.first else { return }
    let tokens = streams[.image].tokens
    left = tokens
    let demand = pass.hooks.map { $0.demand(in: $0.pass, of: all) } ?? .nothing
    if case .changes = demand { return }
    guard let tail = cache.tail(pass.branch, head: tokens - before) else { return }
    outcome = tokens + tail
    var last = all[0]
    if case .looks(let block, _) = demand { last = block }
    let rest = (ahead.firstIndex(of: last).map { $0 + 1 } ?? 0)...
    spared = ahead[rest].count
    ahead.removeSubrange(rest)
  }

  mutating func finish(_ streams: inout [Stream], _ cache: BlockCache?) {
    guard let cache, let entered, let left, let place = streams.firstIndex(where: { $0.id == .image }) else { return }
    guard let outcome else {
      // A cancelled pass is none to remember.
      guard ahead.isEmpty else { return }
      cache.keep(pass.branch, .init(head: left - entered, tail: streams[place].tokens - left))
      cache.count(blocks: all.count, skipped: 0)
      return
    }
    streams[place].tokens = outcome
    cache.count(blocks: all.count, skipped: spared)
  }

  /// Blocks that any of the passes still needs after one.
  static func coming(_ routes: [BlockRoute], after block: BlockID) -> [BlockID] {
    let needed = Set(routes.flatMap(\.ahead))
    let longest = routes.map(\.all).max { $0.count < $1.count } ?? []
    return longest.drop { $0 != block }.dropFirst().filter(needed.contains)
  }
}
