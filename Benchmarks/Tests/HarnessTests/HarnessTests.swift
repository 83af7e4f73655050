import Foundation
import Harness
import Testing

@Suite struct TimingTests {
  @Test func quantilesInterpolateBetweenSortedSamples() {
    let timing = Timing(samples: [5, 1, 4, 2, 3])
    #expect(timing.minimum == 1)
    #expect(timing.median == 3)
    #expect(abs(timing.p90 - 4.6) < 1e-12)
    #expect(Timing(samples: [7]).p90 == 7)
  }

  @Test func eachRunIsPreceded() {
    var order = ""
    let timing = Budget(runs: 3, seconds: 0.1).measure(before: { order += "-" }) {
      order += "+"
      usleep(10_000)
    }
    #expect(order == String(repeating: "-+", count: timing.runs))
  }

  @Test func budgetStopsAfterItsRunsOrItsTime() {
    var calls = 0
    #expect(Budget(runs: 5, seconds: 1e-6).measure { usleep(100) }.runs == 1)
    let timing = Budget(runs: 5, seconds: 60).divided(by: 5).measure {
      calls += 1; usleep(1_500_000)
    }
    #expect(timing.runs == 1 && calls == 1)
  }
}

@Suite struct CatalogueTests {
  private let catalogue: Catalogue

  init() throws {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    catalogue = try Catalogue(path: package.appendingPathComponent("cases.json").path)
  }

  @Test func slowCasesAreTakenWhenAskedFor() throws {
    let slow = try #require(catalogue.cases.first { $0.isSlow })
    #expect(try !catalogue.selected(filters: [], dtype: nil, slow: false).contains(slow))
    #expect(try catalogue.selected(filters: [], dtype: nil, slow: true) == catalogue.cases)
    #expect(try catalogue.selected(filters: [slow.name], dtype: nil, slow: false) == [slow])
  }

  @Test func filtersAreRegularExpressionsOnNames() throws {
    let names = try catalogue.selected(filters: ["^linear/512x.*/bf16$"], dtype: nil, slow: false).map(\.name)
    #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("linear/512x") && $0.hasSuffix("/bf16") })
    #expect(throws: BenchmarkError.self) { try catalogue.selected(filters: ["("], dtype: nil, slow: false) }
  }

  @Test func missingSizeIsNamed() throws {
    let one = Case(operation: "linear", label: "x", dtype: "f32", sizes: ["m": 1])
    #expect(try one.size("m") == 1)
    #expect { try one.size("k") } throws: { "\($0)".contains("linear/x/f32") && "\($0)".contains("'k'") }
  }
}

@Suite struct WorkloadTests {
  private func workload(_ actual: Double) -> Workload {
    Workload(limit: .other, inputOutputBytes: 0, tolerance: 0.01, run: {}) {
      [Probe(actual: 100, expected: 100), Probe(actual: actual, expected: 1)]
    }
  }

  @Test(arguments: [2.5, -.infinity, .nan]) func wrongResultIsNotTimed(_ actual: Double) {
    #expect(throws: BenchmarkError.self) { try workload(actual).checkedProbe("case") }
  }

  @Test func toleranceIsRelativeToTheLargestValue() throws {
    #expect(try workload(1.9).checkedProbe("case") == [100, 1.9])
  }
}

@Suite struct ComparisonTests {
  private func record(_ milliseconds: Double, _ probe: [Double]) -> Record {
    let one = Case(operation: "linear", label: "1x3072x3072", dtype: "f32", sizes: [:])
    return Record(
      one, implementation: "x", threads: 1, isa: nil, Timing(samples: [milliseconds / 1e3]), probe: probe)
  }

  private func table(_ ours: Record, _ peer: Record) throws -> Comparison {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).json")
    defer { try? FileManager.default.removeItem(at: file) }
    let cases = #"""
      {"cases": [{"operation": "linear", "label": "1x3072x3072", "sizes": {}, "dtypes": ["f32"], "bars": {"f32": 1.1}}]}
      """#
    try Data(cases.utf8).write(to: file)
    return Comparison(ours: [ours], peer: [peer], catalogue: try Catalogue(path: file.path))
  }

  @Test func ratioIsMarkedAgainstTheBar() throws {
    let fast = try table(record(1, [1]), record(1.2, [1]))
    #expect(fast.missed.isEmpty && fast.markdown.contains("| 1.20 | ≥ 1.1 ✓ |"))
    let slow = try table(record(1, [1]), record(1.05, [1]))
    #expect(slow.missed.map(\.name) == ["linear/1x3072x3072/f32"] && slow.markdown.contains("≥ 1.1 ✗"))
  }

  @Test func differingResultsAreMarked() throws {
    #expect(try table(record(1, [1, 2]), record(1, [1, 2.1])).markdown.contains("†"))
    #expect(try !table(record(1, [1, 2]), record(1, [1, 2.0001])).markdown.contains("†"))
  }

  @Test func recordsSurviveTheirFile() throws {
    let line = try RecordFile.line(record(1.5, [0.25]))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).jsonl")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data("\(line)\n".utf8).write(to: file)
    let read = try RecordFile.read(file.path)
    #expect(read.machine == nil && read.records.map(\.median) == [1.5] && read.records.map(\.probe) == [[0.25]])
    try Data("\(line)\n{\"case\": 1}\n".utf8).write(to: file)
    #expect { try RecordFile.read(file.path) } throws: { "\($0)".contains("line 2") }
  }
}

@Suite struct PeerTests {
  private func answer(_ line: String) throws -> Record? {
    let peer = try Peer(["sh", "-c", "echo '{\"implementation\": \"x\"}'; read request; echo '\(line)'"])
    defer { peer.stop() }
    return try peer.measure(
      Case(operation: "linear", label: "x", dtype: "f32", sizes: [:]), Budget(runs: 1, seconds: 1))
  }

  @Test func absentOperationIsNoError() throws {
    #expect(try answer(#"{"absent": true}"#) == nil)
  }

  @Test func theRequestSaysHowMuchIsReadBeforeEachRun() throws {
    let script = #"""
      echo '{"implementation": "x"}'
      read request
      case $request in *'"sweep":77'*) echo '{"absent": true}';; esac
      """#
    let peer = try Peer(["sh", "-c", script])
    defer { peer.stop() }
    let one = Case(operation: "linear", label: "x", dtype: "f32", sizes: [:])
    #expect(try peer.measure(one, Budget(runs: 1, seconds: 1), sweep: 77) == nil)
  }

  @Test func failureNamesTheCase() {
    #expect { try answer(#"{"error": "too large"}"#) } throws: {
      "\($0)".contains("linear/x/f32") && "\($0)".contains("too large")
    }
  }
}

@Suite struct NumberTests {
  @Test(arguments: [(0.0, 1, "0.0"), (1.05, 1, "1.1"), (12.3456, 3, "12.346"), (-2.5, 0, "-3"), (0.999, 2, "1.00")])
  func decimalsAreRounded(_ value: Double, _ digits: Int, _ text: String) {
    #expect(value.formatted(digits) == text)
  }

  @Test func inputsFillTheirRange() {
    let values = Inputs.values(100_000, seed: 1)
    #expect(values.allSatisfy { $0 >= -1 && $0 < 1 })
    #expect(abs(values.reduce(0, +) / 100_000) < 0.01)
    #expect(values[7] == Inputs.value(at: 7, seed: 1) && values[7] != Inputs.value(at: 7, seed: 2))
  }
}

@Suite struct MachineTests {
  @Test func peaksAreMeasured() {
    let machine = Machine.measured(threads: 1, instructions: "avx512")
    #expect(machine.peakF32 > 1 && machine.peakForBF16 >= machine.peakF32)
    // Twice the width, twice the multiply-adds, give or take what a shared machine does between two measurements; chains
    // that do not fit the registers reach less than half.
    let narrow = Machine.measured(threads: 1, instructions: "generic").peakF32
    let middle = Machine.measured(threads: 1, instructions: "avx2").peakF32
    #expect(middle < 1.2 * machine.peakF32 && narrow < middle && middle > 0.4 * machine.peakF32)
    #expect(machine.readBandwidth > 0.1 && machine.copyBandwidth > 0.1)
  }

  @Test func residentPeakFollowsAllocations() throws {
    try #require(ResidentMemory.resetPeak())
    let before = ResidentMemory.peak
    let block = [UInt8](repeating: 1, count: 64 << 20)
    #expect(ResidentMemory.peak - before >= block.count / 2)
  }
}
