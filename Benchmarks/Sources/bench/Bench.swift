// `bench`: measures the library's operations on the shapes of real models, alone or in turns with another
// implementation. See Benchmarks/README.md.
import ArgumentParser

@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measures the operations on the shapes of cases.json.",
    discussion: """
      Every result is checked once against a slow reference before anything is timed.

        bench run --filter linear --dtype bf16        our times, rates, fraction of this machine's peak
        bench peers --peer-command 'python3 Benchmarks/peers/torch_bench.py'
                                                       the same in turns with PyTorch, and a table
        bench compare ours.jsonl peer.jsonl            the table of two earlier runs
        bench overhead                                 what ConceptAttention adds to a transformer step
      """,
    subcommands: [Run.self, Peers.self, Compare.self, Overhead.self, MemoryOf.self], defaultSubcommand: Run.self)
}
