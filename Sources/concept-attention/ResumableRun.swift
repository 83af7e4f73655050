import Evaluation
import Foundation

/// A run over units of a data set whose lines are kept in a folder: it goes on where an earlier one was cut off, and may be
/// shared by several processes.
struct ResumableRun<Line: Codable & Sendable> {
  let name: String
  let files: OutcomeFolder<Line>
  /// How many there are.
  let units: Int
  let team: Team

  /// Does what is left of the run.
  ///
  /// - Parameters:
  ///   - make: does a unit
  ///   - onLine: is given the lines of all units, of earlier runs and other processes too, in any order of units
  /// - Returns: how many units nobody has done yet; those of processes that are still at work, or were lost
  func run(make: (Int) throws -> [Line], onLine: @escaping (Int, Line) throws -> Void) throws -> Int {
    let isAlone = team.count == 1
    var done = try files.takeOver(isAlone ? onLine : { _, _ in })
    if !done.isEmpty, team.leads { printError("\(name): going on after \(done.count) of \(units)") }
    team.meet()  // nobody writes before all have read
    let own = team.share(of: units, without: done)
    do {
      let writer = try files.writer(team.index)
      let progress = team.leads ? Progress("\(name), picture") : nil
      for (place, unit) in own.enumerated() {
        let lines = try make(unit)
        if isAlone { for line in lines { try onLine(unit, line) } }
        try writer.append(files.text(unit, lines))
        progress?.show(place + 1, of: own.count)
      }
      progress?.finish()
    }
    done.formUnion(own)
    if isAlone { return 0 }
    team.meet()
    return units - (try team.leads ? files.takeOver(onLine) : done).count
  }
}
