/// Times of the runs of one case.
public struct Timing: Sendable, Equatable {
  /// Seconds, in the order of the runs.
  public private(set) var samples: [Double]

  public init(samples: [Double]) { self.samples = samples }

  public mutating func append(_ other: Timing) { samples += other.samples }

  public var runs: Int { samples.count }
  public var minimum: Double { quantile(0) }
  public var median: Double { quantile(0.5) }
  public var p90: Double { quantile(0.9) }

  /// The sample below which `fraction` of the runs lie, interpolated between neighbours.
  public func quantile(_ fraction: Double) -> Double {
    let sorted = samples.sorted()
    guard let last = sorted.last else { return .nan }
    let place = fraction * Double(sorted.count - 1)
    let lower = Int(place)
    guard lower + 1 < sorted.count else { return last }
    return sorted[lower] + (sorted[lower + 1] - sorted[lower]) * (place - Double(lower))
  }
}

/// How long a case is measured.
public struct Budget: Sendable, Codable, Equatable {
  /// Runs wanted. A slow operation stops earlier, when `seconds` are over.
  public var runs: Int
  /// Measuring goes on until both `runs` are done and a tenth of this is used, or until all of it is.
  public var seconds: Double

  public init(runs: Int = 20, seconds: Double = 3) {
    self.runs = runs
    self.seconds = seconds
  }

  /// The share of one of `rounds` rounds.
  public func divided(by rounds: Int) -> Budget {
    Budget(runs: (runs + rounds - 1) / rounds, seconds: seconds / Double(rounds))
  }

  /// Runs `body` until the budget is used, once at least.
  ///
  /// - Parameter before: what precedes each run, and does not count
  public func measure(before: () -> Void = {}, _ body: () throws -> Void) rethrows -> Timing {
    let clock = ContinuousClock()
    var samples: [Double] = [], total = 0.0
    while samples.isEmpty || (total < seconds && (samples.count < runs || total < seconds / 10)) {
      before()
      let elapsed = try clock.measure(body) / .seconds(1)
      samples.append(elapsed)
      total += elapsed
    }
    return Timing(samples: samples)
  }

  /// Runs `body` until caches, pools and clocks have settled: two runs, more of a fast one, one of a very slow one.
  public func warmUp(_ body: () throws -> Void) rethrows {
    let clock = ContinuousClock()
    let start = clock.now
    var runs = 0
    repeat {
      try body()
      runs += 1
    } while clock.now - start < .seconds(seconds / 20) || (runs < 2 && clock.now - start < .seconds(seconds / 3))
  }
}
