import Foundation

/// One line of output: how fast one implementation ran one case.
public struct Record: Sendable, Codable {
  public var name: String
  /// Such as `ours` or `PyTorch 2.13.0+cpu`.
  public var implementation: String
  public var threads: Int
  /// Our instruction set; nil for a peer.
  public var isa: String?
  public var runs: Int
  public var minimum, median, p90: Double  // milliseconds
  /// 10⁹ operations or bytes per second at the median.
  public var gflops, gigabytesPerSecond: Double?
  /// The same as a fraction of the machine's measured peak.
  public var peakFraction: Double?
  /// Bytes that the process grew by in one run, inputs included, divided by input + output.
  public var memoryRatio: Double?
  /// A few values of the result, at places that all implementations share.
  public var probe: [Double]
  /// All times, where somebody will merge them.
  public var samples: [Double]?  // milliseconds

  enum CodingKeys: String, CodingKey {
    case name = "case"
    case implementation, threads, isa, runs
    case minimum = "min_ms"
    case median = "median_ms"
    case p90 = "p90_ms"
    case gflops
    case gigabytesPerSecond = "gb_per_s"
    case peakFraction = "peak_fraction"
    case memoryRatio = "memory_ratio"
    case probe
    case samples = "samples_ms"
  }

  public init(_ one: Case, implementation: String, threads: Int, isa: String?, _ timing: Timing, probe: [Double]) {
    name = one.name
    self.implementation = implementation
    self.threads = threads
    self.isa = isa
    runs = timing.runs
    minimum = timing.minimum * 1e3
    median = timing.median * 1e3
    p90 = timing.p90 * 1e3
    self.probe = probe
  }

  /// Takes over the times of several rounds.
  public mutating func setTiming(_ timing: Timing) {
    runs = timing.runs
    minimum = timing.minimum * 1e3
    median = timing.median * 1e3
    p90 = timing.p90 * 1e3
    samples = nil
  }

  /// Fills in rate and fraction from what one run does and what the machine can do.
  public mutating func setRate(_ limit: Workload.Limit, _ machine: Machine) {
    let seconds = median / 1e3
    switch limit {
    case .f32Arithmetic(let operations):
      gflops = operations / seconds / 1e9
      peakFraction = operations / seconds / 1e9 / machine.peakF32
    case .bf16Arithmetic(let operations):
      gflops = operations / seconds / 1e9
      peakFraction = operations / seconds / 1e9 / machine.peakForBF16
    case .int8Arithmetic(let operations):
      gflops = operations / seconds / 1e9
      peakFraction = machine.peakInt8.map { operations / seconds / 1e9 / $0 }
    case .memory(let bytes):
      gigabytesPerSecond = bytes / seconds / 1e9
      peakFraction = bytes / seconds / 1e9 / machine.copyBandwidth
    case .reading(let bytes):
      gigabytesPerSecond = bytes / seconds / 1e9
      peakFraction = bytes / seconds / 1e9 / machine.readBandwidth
    case .other: break
    }
  }

  /// One line for people.
  public var summary: String {
    var text = "\(name.padded(38)) \(median.formatted(3).padded(10, right: true)) ms"
    text += "  min \(minimum.formatted(3).padded(10, right: true))  p90 \(p90.formatted(3).padded(10, right: true))"
    text += "  runs \(String(runs).padded(4, right: true))"
    if let gflops { text += "  \(gflops.formatted(1).padded(7, right: true)) GFLOP/s" }
    if let gigabytesPerSecond { text += "  \(gigabytesPerSecond.formatted(1).padded(7, right: true)) GB/s   " }
    if let peakFraction { text += "  \((peakFraction * 100).formatted(0).padded(3, right: true)) % of peak" }
    if let memoryRatio { text += "  memory \(memoryRatio.formatted(2)) x (input + output)" }
    return text
  }
}

/// A file of JSON lines: records, and a first line that describes the machine.
public enum RecordFile {
  public static func line(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  public static func read(_ path: String) throws -> (machine: Machine?, records: [Record]) {
    guard let data = FileManager.default.contents(atPath: path) else { throw BenchmarkError("cannot read '\(path)'") }
    var machine: Machine?
    var records: [Record] = []
    for (index, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
      if let header = try? JSONDecoder().decode(MachineLine.self, from: line) {
        machine = header.machine
        continue
      }
      do {
        records.append(try JSONDecoder().decode(Record.self, from: line))
      } catch {
        throw BenchmarkError("'\(path)' line \(index + 1) is no benchmark record: \(error)")
      }
    }
    return (machine, records)
  }
}

/// The first line of a record file.
public struct MachineLine: Codable {
  public var machine: Machine
  public init(machine: Machine) { self.machine = machine }
}

extension String {
  public func padded(_ width: Int, right: Bool = false) -> String {
    let spaces = String(repeating: " ", count: max(0, width - count))
    return right ? spaces + self : self + spaces
  }
}
