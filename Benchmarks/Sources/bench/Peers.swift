import ArgumentParser
import Foundation
import Harness
import Tensor

/// `bench peers`: ours and another implementation in turns, case by case, so that both meet the same minutes of a shared
/// machine: ours, peer, ours, peer …, then the medians of all runs of each side.
struct Peers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures our operations in turns with another implementation and prints a table.")

  @OptionGroup var options: Options

  @Option(help: "The command that starts the peer; '--serve --threads N --cases FILE' is added to it.")
  var peerCommand: String

  @Option(help: "How often the two sides alternate per case.")
  var rounds = 5

  @Option(help: "Also write both sides' records to this file, as JSON lines; '-' for standard output.")
  var json: String?

  @Flag(help: "Exit with 1 when a case misses its bar.")
  var strict = false

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds must be positive") }
    guard !peerCommand.isEmpty else { throw ValidationError("--peer-command is empty") }
  }

  func run() throws {
    let cases = try options.selectedCases()
    let comparison = try options.apply { kernels in try measureAll(cases, kernels) }
    report("\n\(comparison.markdown)", json: json)
    if !comparison.missed.isEmpty {
      report("\nBelow the bar: " + comparison.missed.map(\.name).joined(separator: ", "), json: json)
      if strict { throw ExitCode(1) }
    }
  }

  private func measureAll(_ cases: [Case], _ kernels: Kernels) throws -> Comparison {
    let machine = Machine.measured(threads: Threads.count, instructions: kernels.name)
    let peer = try Peer(
      peerCommand.split(separator: " ").map(String.init)
        + ["--serve", "--threads", "\(Threads.count)", "--cases", options.cases])
    defer { peer.stop() }
    report("\(machine.summary)\nours: \(kernels.name); peer: \(peer.implementation)", json: json)
    var sink = RecordSink(path: json)
    try sink.write(MachineLine(machine: machine))
    var ours: [Record] = [], theirs: [Record] = []
    for one in cases {
      guard let (mine, other) = try alternate(one, kernels, peer, machine) else {
        report("\(one.name): \(peer.implementation) has no such operation", json: json)
        continue
      }
      for record in [mine, other] { try sink.write(record) }
      ours.append(mine)
      theirs.append(other)
      let time = other.median.formatted(3).padded(10, right: true)
      let ratio = (other.median / mine.median).formatted(2)
      report("\(mine.summary)\n\("  peer".padded(38)) \(time) ms  ratio \(ratio)", json: json)
    }
    try sink.close()
    return try Comparison(ours: ours, peer: theirs, catalogue: Catalogue(path: options.cases))
  }

  /// Both sides' records, or none where the peer has no such operation.
  private func alternate(_ one: Case, _ kernels: Kernels, _ peer: Peer, _ machine: Machine) throws -> (Record, Record)?
  {
    let subject = try Subject(one, kernels, options)
    let share = options.budget.divided(by: rounds)
    var mine = Timing(samples: []), theirs = Timing(samples: [])
    var answer: Record?
    try subject.warmUp()
    for _ in 0..<rounds {
      mine.append(try subject.measure(share))
      guard let record = try peer.measure(one, share, sweep: subject.sweptBytes) else { return nil }
      theirs.append(Timing(samples: (record.samples ?? []).map { $0 / 1e3 }))
      answer = record
    }
    guard var other = answer else { throw BenchmarkError("\(one.name): no round was measured") }
    other.setTiming(theirs)
    other.setRate(subject.workload.limit, machine)
    var record = subject.record(mine)
    record.setRate(subject.workload.limit, machine)
    return (record, other)
  }
}
