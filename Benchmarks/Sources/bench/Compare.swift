import ArgumentParser
import Harness

/// `bench compare`: a table from two files of records.
struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints one Markdown table of two sides.",
    discussion: "The ratio is the second file's time / the first file's time: above 1 the first is faster.")

  @Argument(help: "Records of the first side, JSON lines.")
  var ours: String

  @Argument(help: "Records of the second side; left out where one file has both, as 'bench peers --json' writes it.")
  var peer: String?

  @Option(help: "The list of cases, for their bars.")
  var cases = Options.defaultCases

  func run() throws {
    let (machine, all) = try RecordFile.read(ours)
    let implementation = all.first?.implementation
    let first = all.filter { $0.implementation == implementation }
    let second = try peer.map { try RecordFile.read($0).records } ?? all.filter { $0.implementation != implementation }
    if let machine { print("\(machine.summary)\n") }
    print(Comparison(ours: first, peer: second, catalogue: try Catalogue(path: cases)).markdown)
  }
}
