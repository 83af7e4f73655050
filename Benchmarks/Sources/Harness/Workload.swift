/// A case made ready to run: its inputs exist, its result has been thought about.
public struct Workload {
  /// What limits the operation, and thus which of the machine's peaks its speed is a fraction of.
  public enum Limit: Sendable {
    /// Arithmetic operations of one run, a multiply-add counted as two.
    case f32Arithmetic(Double)
    case bf16Arithmetic(Double)
    case int8Arithmetic(Double)
    /// Bytes read and written by one run, each input and output counted once.
    case memory(Double)
    /// Bytes read by one run, where next to nothing is written.
    case reading(Double)
    /// Neither says anything useful.
    case other
  }

  public var limit: Limit
  /// Bytes of all inputs and outputs.
  public var inputOutputBytes: Int
  /// One run, result dropped: what is timed.
  public var run: () throws -> Void
  /// One run, checked: a few result values, each beside its value from a slow `f64` reference.
  public var probe: () throws -> [Probe]
  /// How far a probe may be off, relative to the largest expected magnitude.
  public var tolerance: Double

  public init(
    limit: Limit, inputOutputBytes: Int, tolerance: Double, run: @escaping () throws -> Void,
    probe: @escaping () throws -> [Probe]
  ) {
    self.limit = limit
    self.inputOutputBytes = inputOutputBytes
    self.tolerance = tolerance
    self.run = run
    self.probe = probe
  }

  /// Runs once and compares with the reference.
  ///
  /// - Returns: the result values at the probed places
  /// - Throws: when one is off, so that no wrong result is ever timed
  public func checkedProbe(_ name: String) throws -> [Double] {
    let probes = try probe()
    let scale = probes.map { abs($0.expected) }.max() ?? 0
    for (place, probe) in probes.enumerated() where !(abs(probe.actual - probe.expected) <= tolerance * scale) {
      throw BenchmarkError(
        "\(name): probe \(place) is \(probe.actual), the reference says \(probe.expected) (allowed \(tolerance * scale))"
      )
    }
    return probes.map(\.actual)
  }
}

/// One value of a result and what it should be.
public struct Probe: Sendable {
  public var actual, expected: Double

  public init(actual: Double, expected: Double) {
    self.actual = actual
    self.expected = expected
  }
}

/// Keeps the optimiser from dropping a result.
@inline(never)
public func keep<Value>(_ value: Value) { withExtendedLifetime(value) {} }
