/// Two sets of records side by side, as a Markdown table.
public struct Comparison: Sendable {
  public struct Row: Sendable {
    public var name: String
    public var ours, peer: Record
    public var bar, memoryBar: Double?

    /// Peer time / our time: above 1 we are faster.
    public var ratio: Double { peer.median / ours.median }

    /// Whether both computed the same, judged at the probed places; nil when a side has no probe.
    public func agree(tolerance: Double) -> Bool? {
      guard !ours.probe.isEmpty, ours.probe.count == peer.probe.count else { return nil }
      let scale = peer.probe.map { abs($0) }.max() ?? 0
      return zip(ours.probe, peer.probe).allSatisfy { abs($0 - $1) <= tolerance * scale }
    }
  }

  public var rows: [Row]

  /// Joins by case name, in `ours`' order; cases that one side lacks are left out.
  public init(ours: [Record], peer: [Record], catalogue: Catalogue) {
    let bars = Dictionary(catalogue.cases.map { ($0.name, $0) }) { first, _ in first }
    let peers = Dictionary(peer.map { ($0.name, $0) }) { _, last in last }
    rows = ours.compactMap { record in
      peers[record.name].map {
        Row(
          name: record.name, ours: record, peer: $0, bar: bars[record.name]?.bar,
          memoryBar: bars[record.name]?.memoryBar)
      }
    }
  }

  /// Both sides round differently, and a bf16 result has eight bits.
  private func tolerance(_ row: Row) -> Double { row.name.hasSuffix("/f32") ? 1e-3 : 2e-2 }

  public var markdown: String {
    guard let first = rows.first else { return "No case was measured on both sides." }
    var lines = [
      "| case | ours, ms | \(first.peer.implementation), ms | ratio | bar | ours | of peak | memory / (in + out) |",
      "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += rows.map(line)
    if rows.contains(where: { $0.agree(tolerance: tolerance($0)) == false }) {
      lines += ["", "† The two results differ: see the `probe` values of the records."]
    }
    return lines.joined(separator: "\n")
  }

  /// The cases that fall short of their bar.
  public var missed: [Row] {
    rows.filter { row in
      row.bar.map { row.ratio < $0 } ?? false || misses(row.ours.memoryRatio, row.memoryBar)
    }
  }

  private func misses(_ memory: Double?, _ bar: Double?) -> Bool {
    guard let memory, let bar else { return false }
    return memory > bar
  }

  private func line(_ row: Row) -> String {
    let mark = row.agree(tolerance: tolerance(row)) == false ? " †" : ""
    let verdict = row.bar.map { "≥ \($0.formatted(1)) \(row.ratio >= $0 ? "✓" : "✗")" } ?? ""
    let rate =
      row.ours.gflops.map { "\($0.formatted(0)) GFLOP/s" }
      ?? row.ours.gigabytesPerSecond.map { "\($0.formatted(1)) GB/s" } ?? ""
    let fraction = row.ours.peakFraction.map { "\(($0 * 100).formatted(0)) %" } ?? ""
    var memory = row.ours.memoryRatio.map { $0.formatted(2) } ?? ""
    if row.ours.memoryRatio != nil, row.memoryBar != nil {
      memory += misses(row.ours.memoryRatio, row.memoryBar) ? " ✗" : " ✓"
    }
    let times = [row.ours.median, row.peer.median].map { $0.formatted(3) }
    let cells = [row.name + mark] + times + [row.ratio.formatted(2), verdict, rate, fraction, memory]
    return "| " + cells.joined(separator: " | ") + " |"
  }
}
