import ArgumentParser
import Foundation
import Harness
import Tensor

/// `bench memory`: what the first run of a case makes this process grow by. A fresh process per case, because scratch
/// and pools keep what earlier cases needed.
struct MemoryOf: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "memory", abstract: "Prints peak memory of one run / (input + output), for one case.")

  @OptionGroup var options: Options

  func run() throws {
    let cases = try options.selectedCases()
    guard let one = cases.first, cases.count == 1 else {
      throw ValidationError("\(cases.count) cases match; give one full name with --filter")
    }
    try options.apply { _ in
      let before = ResidentMemory.current
      let workload = try Operations.workload(one)
      Memory.trim()  // what inputs were made from
      guard ResidentMemory.resetPeak() else { throw BenchmarkError("this kernel does not reset VmHWM") }
      try workload.run()
      print((Double(ResidentMemory.peak - before) / Double(workload.inputOutputBytes)).formatted(4))
    }
  }

  /// Runs this program again for one case.
  static func inFreshProcess(_ one: Case, _ kernels: Kernels, _ options: Options) throws -> Double {
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "memory", "--filter", "^\(one.name)$", "--slow", "--isa", kernels.name, "--threads", "\(Threads.count)",
      "--cases", options.cases,
    ]
    if let compute = options.compute { process.arguments? += ["--compute", compute.rawValue] }
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0, let ratio = Double(text.filter { !$0.isNewline }) else {
      throw BenchmarkError("\(one.name): memory could not be measured")
    }
    return ratio
  }
}
