// fuzz-formats: reads mutated files of every format until the time is over. Run it under AddressSanitizer (README.md).
//
// A reader must answer any bytes with a value or with its typed error. Anything else ends the program: a trap, a
// sanitizer's report, an error of another type, or an input that takes too long.

import Foundation
import Tensor

struct Arguments {
  var seconds = 60.0
  var seed: UInt64 = 1
  /// Longest time for one input, in seconds.
  var patience = 10.0
  var fixtures = "Tests/Fixtures"
  var formats: Set<String> = []

  init(_ arguments: [String]) throws {
    var rest = arguments.dropFirst()
    while let flag = rest.popFirst() {
      guard let value = rest.popFirst() else { throw Usage(reason: "\(flag) needs a value") }
      switch flag {
      case "--seconds": seconds = try number(value, flag)
      case "--seed": seed = try number(value, flag)
      case "--patience": patience = try number(value, flag)
      case "--fixtures": fixtures = value
      case "--formats": formats = Set(value.split(separator: ",").map(String.init))
      default: throw Usage(reason: "unknown option \(flag)")
      }
    }
  }

  private func number<Value: LosslessStringConvertible>(_ text: String, _ flag: String) throws -> Value {
    guard let value = Value(text) else { throw Usage(reason: "\(flag): expected a number, found \(text)") }
    return value
  }
}

struct Usage: Error, CustomStringConvertible {
  let reason: String
  var description: String {
    """
    \(reason)
    usage: fuzz-formats [--seconds 60] [--seed 1] [--patience 10] [--fixtures Tests/Fixtures]
                        [--formats safetensors,npy,npz,gguf,png,jpeg]
    """
  }
}

/// What one reader was given and how it answered.
struct Tally {
  var inputs = 0, accepted = 0, refused = 0
  var slowest = Duration.zero
}

func run(_ arguments: Arguments) throws {
  let targets = try Target.all(fixtures: arguments.fixtures).filter {
    arguments.formats.isEmpty || arguments.formats.contains($0.name)
  }
  guard !targets.isEmpty else { throw Usage(reason: "no such format") }
  var tallies = [String: Tally]()
  var generator = SplitMix64(state: arguments.seed)
  let clock = ContinuousClock()
  let end = clock.now + .seconds(arguments.seconds)
  while clock.now < end {
    for target in targets {
      var input = mutated(target.seeds.randomElement(using: &generator) ?? [], target.seeds, &generator)
      if Int.random(in: 0..<4, using: &generator) > 0 { input = target.repair(input) }
      let start = clock.now
      let isAccepted = try target.reads(input)
      let time = clock.now - start
      guard time < .seconds(arguments.patience) else {
        throw Finding(target: target.name, reason: "took \(time)", input: input)
      }
      var tally = tallies[target.name] ?? Tally()
      tally.inputs += 1
      if isAccepted { tally.accepted += 1 } else { tally.refused += 1 }
      tally.slowest = max(tally.slowest, time)
      tallies[target.name] = tally
    }
  }
  report(tallies, arguments)
}

func report(_ tallies: [String: Tally], _ arguments: Arguments) {
  for (name, tally) in tallies.sorted(by: { $0.key < $1.key }) {
    print("\(name): \(tally.inputs) inputs, \(tally.accepted) read, \(tally.refused) refused, slowest \(tally.slowest)")
  }
  let total = tallies.values.reduce(0) { $0 + $1.inputs }
  print("\(total) inputs in \(Int(arguments.seconds)) s with seed \(arguments.seed), nothing found")
}

do {
  try run(Arguments(CommandLine.arguments))
} catch let finding as Finding {
  try? finding.input.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: "fuzz-finding.bin")) }
  print("FOUND in \(finding.target): \(finding.reason); the input is in fuzz-finding.bin")
  exit(1)
} catch {
  print("\(error)")
  exit(2)
}
