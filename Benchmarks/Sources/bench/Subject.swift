import Foundation
import Harness
import Tensor

/// One of our cases under measurement: checked when made, its inputs held, the pool emptied of the case before.
final class Subject {
  let workload: Workload
  private let one: Case
  private let kernels: Kernels
  private let budget: Budget
  private let probe: [Double]
  private let memoryRatio: Double?
  private let sweep: CacheSweep?

  init(_ one: Case, _ kernels: Kernels, _ options: Options) throws {
    self.one = one
    self.kernels = kernels
    budget = options.budget
    sweep = options.cold ? CacheSweep() : nil
    Memory.trim()
    memoryRatio = one.memoryBar == nil ? nil : try MemoryOf.inFreshProcess(one, kernels, options)
    workload = try Operations.workload(one)
    probe = try workload.checkedProbe(one.name)
  }

  func warmUp() throws { try budget.warmUp(workload.run) }

  func measure(_ budget: Budget) throws -> Timing {
    try budget.measure(before: { sweep?.run() }, workload.run)
  }

  /// Bytes that are read before each run.
  var sweptBytes: Int { sweep?.byteCount ?? 0 }

  func record(_ timing: Timing) -> Record {
    var record = Record(
      one, implementation: "ours", threads: Threads.count, isa: kernels.name, timing, probe: probe)
    record.memoryRatio = memoryRatio
    return record
  }
}
