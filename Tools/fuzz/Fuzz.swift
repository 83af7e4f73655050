// fuzz: reads mutated files of every kind until the time, or the number of inputs, is over. Run it under
// AddressSanitizer (README.md).
//
// A reader must answer any bytes with a value or with its typed error. Anything else ends the program: a trap, a
// sanitizer's report, an error of another type, or an input that takes too long.

import Foundation
import Tensor

struct Arguments {
  var seconds = 60.0
  var seed: UInt64 = 1
  /// Longest time for one input, in seconds of the processor: on a machine that is busy a second may take many.
  var patience = 10.0
  var corpus = "Tools/fuzz/corpus"
  var fixtures = "Tests/Fixtures/datasets"
  var readers: Set<String> = []
  /// Inputs in all after which to stop, even if there is time left.
  var inputs = Int.max

  init(_ arguments: [String]) throws {
    var rest = arguments.dropFirst()
    while let flag = rest.popFirst() {
      guard let value = rest.popFirst() else { throw Usage(reason: "\(flag) needs a value") }
      switch flag {
      case "--seconds": seconds = try number(value, flag)
      case "--seed": seed = try number(value, flag)
      case "--patience": patience = try number(value, flag)
      case "--inputs": inputs = try number(value, flag)
      case "--corpus": corpus = value
      case "--fixtures": fixtures = value
      case "--readers": readers = Set(value.split(separator: ",").map(String.init))
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
    usage: fuzz [--seconds 60] [--inputs 1000000] [--seed 1] [--patience 10] [--corpus Tools/fuzz/corpus]
                [--fixtures Tests/Fixtures/datasets] [--readers safetensors,tokenizer-json]
    """
  }
}

/// What one reader was given and how it answered.
struct Tally {
  var inputs = 0, accepted = 0, refused = 0
  /// Files that came along, and those of them that are read as they are.
  var seeds = 0, soundSeeds = 0
  var slowest = Duration.zero, together = Duration.zero

  mutating func add(_ answer: Target.Answer, _ time: Duration) {
    inputs += 1
    if answer.isAccepted { accepted += 1 } else { refused += 1 }
    slowest = max(slowest, time)
    together += time
  }
}

/// A reader with its own sequence of inputs, which depends on the seed and on nothing else.
struct Course {
  let target: Target
  private(set) var tally = Tally()
  private var generator: SplitMix64
  private var corpus: [[UInt8]]
  private var known: Set<[UInt8]> = []

  init(_ target: Target, seed: UInt64) {
    self.target = target
    generator = SplitMix64(state: target.name.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    corpus = target.seeds
  }

  /// Reads the files that came along, some of which are inputs of bugs that are mended.
  ///
  /// - Throws: `Finding`
  mutating func readSeeds(patience: Double) throws {
    tally.seeds = target.seeds.count
    for seed in target.seeds where try answer(target, seed, patience: patience).0.isAccepted { tally.soundSeeds += 1 }
  }

  /// - Throws: `Finding`
  mutating func goOn(patience: Double) throws {
    var input = mutated(corpus.randomElement(using: &generator) ?? [], target.seeds, &generator)
    if Int.random(in: 0..<4, using: &generator) > 0 { input = target.repair(input) }
    let (answer, time) = try answer(target, input, patience: patience)
    tally.add(answer, time)
    // What gets an answer that none got before is worth changing further.
    if input.count <= 1 << 13, known.count < 2000, known.insert(answer.kind).inserted { corpus.append(input) }
  }
}

func run(_ arguments: Arguments) throws {
  let work = try WorkFolder()
  let targets = try Target.all(corpus: arguments.corpus, fixtures: arguments.fixtures, work: work).filter {
    arguments.readers.isEmpty || arguments.readers.contains($0.name)
  }
  guard !targets.isEmpty else { throw Usage(reason: "no such reader") }
  var courses = targets.map { Course($0, seed: arguments.seed) }, done = 0
  for index in courses.indices { try courses[index].readSeeds(patience: arguments.patience) }
  let clock = ContinuousClock(), start = clock.now, end = start + .seconds(arguments.seconds)
  while done < arguments.inputs, clock.now < end {
    // Readers have the same time, not the same number of inputs: slow ones do not hold up the others.
    guard let next = courses.indices.min(by: { courses[$0].tally.together < courses[$1].tally.together }) else { break }
    for _ in 0..<min(64, arguments.inputs - done) where clock.now < end {
      try courses[next].goOn(patience: arguments.patience)
      done += 1
    }
  }
  report(courses.map { ($0.target.name, $0.tally) }, done, (clock.now - start) / .seconds(1), arguments.seed)
}

/// - Throws: `Finding` when the reader answers wrongly or takes too long
func answer(_ target: Target, _ input: [UInt8], patience: Double) throws -> (Target.Answer, Duration) {
  let clock = ContinuousClock(), start = clock.now, used = processorSeconds()
  let answer = try target.answer(to: input), time = processorSeconds() - used
  // What waits for somebody uses no processor.
  guard time < patience, clock.now - start < .seconds(patience * 60) else {
    throw Finding(target: target.name, reason: "took \(time) s, or \(clock.now - start)", input: input)
  }
  return (answer, .seconds(time))
}

private func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func report(_ tallies: [(name: String, tally: Tally)], _ total: Int, _ seconds: Double, _ seed: UInt64) {
  for (name, tally) in tallies {
    print(
      "\(name): \(tally.inputs) inputs, \(tally.accepted) read, \(tally.refused) refused, slowest \(tally.slowest); of "
        + "\(tally.seeds) files that came along \(tally.soundSeeds) read")
  }
  print("\(total) inputs in \(Int(seconds)) s with seed \(seed), nothing found")
}

#if !LIBFUZZER
  @main struct Fuzz {
    static func main() {
      do {
        try run(Arguments(CommandLine.arguments))
      } catch let finding as Finding {
        try? Data(finding.input).write(to: URL(fileURLWithPath: "fuzz-finding.bin"))
        print("FOUND in \(finding.target): \(finding.reason); the input is in fuzz-finding.bin")
        exit(1)
      } catch {
        print("\(error)")
        exit(2)
      }
    }
  }
#endif
