import Formats
import Foundation
import NN
import Synchronization

/// Brings the weights of blocks into memory ahead of the blocks, in large sequential reads on a thread of its own, and lets
/// those go behind them that do not fit.
final class WeightStream: BlockResidency {
  struct Block: Sendable {
    var id: BlockID
    var extents: [WeightParts.Extent]
    var bytes: Int { extents.map(\.range.count).reduce(0, +) }
  }

  /// Which blocks stay.
  struct Plan: Sendable {
    var share = WeightMemory.Share()
    var streamed: Set<BlockID> = []
  }

  private let blocks: [Block]
  private let places: [BlockID: Int]
  private let queue = DispatchQueue(label: "weights")
  private let arrived = NSCondition()
  private let state = Mutex(State())

  private struct State {
    var plan = Plan()
    /// Blocks that are in memory, or will be.
    var ready: Set<BlockID> = [], queued: Set<BlockID> = []
    var isRunning = false
    /// Tells what was asked for by an earlier run.
    var run = 0
    var streamedBytes = 0
    var progress: (@Sendable (Int, Int, Int) -> Void)?
  }

  init(_ blocks: [Block]) {
    self.blocks = blocks
    places = Dictionary(uniqueKeysWithValues: blocks.enumerated().map { ($1.id, $0) })
  }

  var streamedBytes: Int { state.withLock { $0.streamedBytes } }

  func setProgress(_ body: (@Sendable (Int, Int, Int) -> Void)?) { state.withLock { $0.progress = body } }

  /// The block that runs and the one that comes, whichever they are.
  private var window: Int { 2 * (blocks.map(\.bytes).max() ?? 0) }

  /// - Parameter budget: for all blocks; nil for no bound
  func plan(budget: Int?) -> Plan {
    let total = blocks.map(\.bytes).reduce(0, +)
    var plan = Plan()
    plan.share.window = window
    guard let budget, budget < total else {
      plan.share.resident = total
      return plan
    }
    // Spread over the model, so that the disk works all the time: while blocks run that stay, the next one is read.
    let streamed = Double(total - max(0, budget - window)) / Double(total)
    var passed = 0.0, taken = 0.0
    for block in blocks {
      passed += Double(block.bytes)
      if taken + Double(block.bytes) / 2 <= passed * streamed {
        plan.streamed.insert(block.id)
        taken += Double(block.bytes)
        plan.share.streamed += block.bytes
      } else {
        plan.share.resident += block.bytes
      }
    }
    return plan
  }

  func begin(budget: Int?) {
    let plan = plan(budget: budget)
    state.withLock { state in
      state.plan = plan
      state.isRunning = true
      state.run += 1
      state.ready = []
      state.queued = []
    }
  }

  /// What is being read is left off, and what was read ahead for a step that does not come goes.
  func end() {
    let dropped = state.withLock { state in
      state.isRunning = false
      state.run += 1
      return state.plan.streamed.intersection(state.ready)
    }
    queue.sync {}
    for id in dropped { evict(id) }
  }

  func willRun(_ block: BlockID, before coming: [BlockID]) {
    guard let place = places[block], state.withLock({ $0.isRunning }) else { return }
    request(block)
    let (ready, streamed) = state.withLock { ($0.ready, $0.plan.streamed) }
    var ahead = 0
    // After the last block comes the first one, of the next pass.
    for next in coming + blocks.map(\.id) where next != block {
      // What stays, and is there, takes nothing of the window: the disk goes on with what comes after it.
      guard let place = places[next], streamed.contains(next) || !ready.contains(next) else { continue }
      ahead += blocks[place].bytes
      if ahead > max(window / 2, blocks[place].bytes) { break }
      request(next)
    }
    wait(for: block)
    let report = state.withLock { ($0.progress, $0.streamedBytes, $0.plan.share.streamed > 0) }
    if report.2 { report.0?(place, blocks.count, report.1) }
  }

  func didRun(_ block: BlockID) {
    let isDropped = state.withLock { state in
      guard state.plan.streamed.contains(block) else { return false }
      state.ready.remove(block)
      return true
    }
    if isDropped { evict(block) }
  }

  private func request(_ id: BlockID) {
    let run = state.withLock { state -> Int? in
      guard !state.ready.contains(id), state.queued.insert(id).inserted else { return nil }
      return state.run
    }
    guard let run, let place = places[id] else { return }
    queue.async { [self] in
      for extent in blocks[place].extents {
        extent.file.populate(extent.range) { state.withLock { $0.run != run } }
      }
      state.withLock { state in
        guard state.run == run else { return }
        state.queued.remove(id)
        state.ready.insert(id)
        if state.plan.streamed.contains(id) { state.streamedBytes += blocks[place].bytes }
      }
      arrived.lock()
      arrived.broadcast()
      arrived.unlock()
    }
  }

  private func wait(for id: BlockID) {
    arrived.lock()
    defer { arrived.unlock() }
    while state.withLock({ $0.isRunning && !$0.ready.contains(id) }) { arrived.wait() }
  }

  private func evict(_ id: BlockID) {
    guard let place = places[id] else { return }
    for extent in blocks[place].extents { extent.file.evict(extent.range) }
  }
}
