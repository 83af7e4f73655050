import ArgumentParser
import Foundation
import Harness
import Tensor

/// `bench run`: our own times.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Measures our operations.")

  @OptionGroup var options: Options

  @Flag(help: "Only list the cases.")
  var list = false

  @Flag(help: "Only check each result against its reference; measure nothing.")
  var check = false

  @Option(help: "Also write the records to this file, as JSON lines; '-' for standard output.")
  var json: String?

  func run() throws {
    let cases = try options.selectedCases()
    if list {
      for one in cases { print(one.name + (one.isSlow ? "  (slow)" : "")) }
      return
    }
    try options.apply { kernels in
      if check { try checkAll(cases) } else { try measureAll(cases, kernels) }
    }
  }

  private func checkAll(_ cases: [Case]) throws {
    for one in cases {
      _ = try Operations.workload(one).checkedProbe(one.name)
      report("\(one.name.padded(38)) result is right", json: json)
      Memory.trim()
    }
  }

  private func measureAll(_ cases: [Case], _ kernels: Kernels) throws {
    let machine = Machine.measured(threads: Threads.count, tiles: kernels.name == "amx")
    report("\(machine.summary)\nkernels: \(kernels.name)", json: json)
    var sink = RecordSink(path: json)
    try sink.write(MachineLine(machine: machine))
    for one in cases {
      let subject = try Subject(one, kernels, options)
      try subject.warmUp()
      var record = try subject.record(subject.measure(options.budget))
      record.setRate(subject.workload.limit, machine)
      try sink.write(record)
      report(record.summary, json: json)
    }
    try sink.close()
  }
}
