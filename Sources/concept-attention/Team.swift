import ArgumentParser
import Evaluation
import Foundation

#if MPI
  import CMPI
#endif

/// The processes that share a run. Each does some of its units in a file of its own within one folder; what is in the folder
/// is the run.
struct Team: Sendable {
  /// From 0.
  let index, count: Int
  /// Whether the processes know of each other, and can wait for all.
  let meets: Bool

  static let alone = Team(index: 0, count: 1, meets: false)

  /// Whether other processes work in the same folder.
  var isShared: Bool { count > 1 || meets }

  /// Whether this process writes what all have found.
  var leads: Bool { index == 0 || !meets }

  /// The units of this process among those that are left.
  func share(of units: Int, without done: Set<Int>) -> [Int] {
    let left = (0..<units).filter { !done.contains($0) }
    // Who cannot ask what others have left must do what is his alone.
    return meets
      ? left.enumerated().filter { $0.offset % count == index }.map(\.element) : left.filter { $0 % count == index }
  }

  /// Waits until all processes are here.
  func meet() {
    #if MPI
      if meets { cmpi_meet() }
    #endif
  }

  /// The last meeting: from here on each ends alone.
  func part() {
    #if MPI
      if meets { cmpi_finish() }
    #endif
  }
}

/// How a run is spread over processes.
struct TeamOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Do only a part of the pictures, such as 2/8, and leave the rest to others that write to the same --output. Whoever \
      comes last writes the table.
      """, valueName: "part/parts"))
  var shard: String?

  #if MPI
    @Flag(help: "Share the pictures among the processes that mpirun or srun has started.")
    var mpi = false
  #endif

  func validate() throws {
    if let shard, part == nil {
      throw ValidationError("--shard '\(shard)': expected a part and their number, as in 2/8")
    }
    #if MPI
      if mpi, shard != nil { throw ValidationError("--shard and --mpi exclude each other") }
    #endif
  }

  private var part: (index: Int, count: Int)? {
    let numbers = (shard ?? "").split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let index = numbers[0], let count = numbers[1], count > 0, (1...count).contains(index)
    else { return nil }
    return (index, count)
  }

  var isGiven: Bool {
    #if MPI
      if mpi { return true }
    #endif
    return shard != nil
  }

  /// Joins the others.
  func team() throws -> Team {
    #if MPI
      if mpi {
        var index: CInt = 0, count: CInt = 0
        guard cmpi_start(&index, &count) == 0 else { throw InputError("MPI cannot be started") }
        return Team(index: Int(index), count: Int(count), meets: true)
      }
    #endif
    return part.map { Team(index: $0.index - 1, count: $0.count, meets: false) } ?? .alone
  }
}

/// Ends all processes of a team when one of them fails, where they would wait for it for ever.
func endTeam(_ code: Int32) {
  #if MPI
    if code != 0 { cmpi_abort(code) }
  #endif
}
