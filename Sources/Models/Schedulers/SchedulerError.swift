/// Why a scheduler cannot be built from a configuration, or a schedule not be made.
public struct SchedulerError: Error, Equatable, CustomStringConvertible {
  /// The key of `scheduler_config.json`, or the argument.
  public let key: String
  public let found: String
  public let expected: String

  public init(_ key: String, found: String, expected: String) {
    self.key = key
    self.found = found
    self.expected = expected
  }

  public var description: String { "scheduler: \(summary)" }

  var summary: String { "'\(key)' is \(found); expected \(expected)" }

  /// Throws unless a number of steps can be scheduled.
  static func checkSteps(_ steps: Int, atMost limit: Int) throws {
    guard (1...max(1, limit)).contains(steps) else {
      throw SchedulerError("steps", found: "\(steps)", expected: "1 to \(limit)")
    }
  }
}

/// `count` values from `start` to `end`, both included, as `numpy.linspace` computes them.
func linearlySpaced(_ start: Double, _ end: Double, count: Int) -> [Double] {
  guard count > 1 else { return count == 1 ? [start] : [] }
  let step = (end - start) / Double(count - 1)
  return (0..<count).map { $0 == count - 1 ? end : Double($0) * step + start }
}
