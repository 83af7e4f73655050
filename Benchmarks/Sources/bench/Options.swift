import ArgumentParser
import Foundation
import Harness
import Tensor

/// Which cases, on how many threads, with which kernels, for how long: the options of every measuring command.
struct Options: ParsableArguments {
  @Option(help: "Only cases whose name matches this regular expression; may be repeated.")
  var filter: [String] = []

  @Option(help: "Only this element type: f32, bf16, mixed (f32 activations, bf16 weights).")
  var dtype: String?

  @Flag(help: "Slow cases as well.")
  var slow = false

  @Option(help: "Threads; the CPUs of this process unless given.")
  var threads: Int?

  @Option(help: "Instruction set: \(Kernels.available.map(\.name).joined(separator: ", ")). The best one unless given.")
  var isa: String?

  @Option(help: "How products with narrow weights are formed: float, bf16, int8. As the library chooses unless given.")
  var compute: ComputePrecision?

  @Option(help: "Runs of a case, as far as --seconds allow.")
  var runs = 20

  @Option(help: "Seconds of measuring per case.")
  var seconds = 3.0

  @Flag(help: "Read other memory before each run, so that a case comes from memory, as weights do in a model.")
  var cold = false

  @Option(help: "The list of cases.")
  var cases = Options.defaultCases

  /// Beside the sources this program was built from.
  static let defaultCases = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("cases.json").path

  var budget: Budget { Budget(runs: runs, seconds: seconds) }

  func validate() throws {
    guard runs > 0 else { throw ValidationError("--runs must be positive") }
    guard seconds > 0, seconds.isFinite else { throw ValidationError("--seconds must be positive") }
    guard threads.map({ $0 > 0 }) ?? true else { throw ValidationError("--threads must be positive") }
    guard isa.map({ Kernels.named($0) != nil }) ?? true else {
      let known = Kernels.available.map(\.name).joined(separator: ", ")
      throw ValidationError("--isa '\(isa ?? "")' is not one of \(known) on this CPU")
    }
  }

  func selectedCases() throws -> [Case] {
    let selected = try Catalogue(path: cases).selected(filters: filter, dtype: dtype, slow: slow)
    guard !selected.isEmpty else { throw ValidationError("no case matches; 'bench run --list' shows all") }
    return selected
  }

  /// Runs `body` with the threads and kernels asked for.
  func apply<Result>(_ body: (Kernels) throws -> Result) rethrows -> Result {
    if let threads { Threads.count = threads }
    if let compute { ComputePrecision.standard = compute }
    let kernels = isa.flatMap(Kernels.named) ?? .current
    return try Kernels.with(kernels) { try body(kernels) }
  }
}

extension ComputePrecision: @retroactive ExpressibleByArgument {}

/// Where records go beside the terminal.
struct RecordSink {
  private let path: String?
  private var lines: [String] = []

  init(path: String?) { self.path = path }

  mutating func write(_ value: some Encodable) throws {
    guard path != nil else { return }
    lines.append(try RecordFile.line(value))
    if path == "-", let last = lines.last { print(last) }
  }

  /// Writes a temporary file beside, then renames, so that a run cut short leaves no half of a file.
  func close() throws {
    guard let path, path != "-" else { return }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  }
}

/// For people; records have the standard output to themselves when they go there.
func report(_ text: String, json: String?) {
  if json == "-" {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  } else {
    print(text)
    fflush(nil)
  }
}
