/// A figure with its uncertainty.
public struct Figure: Sendable, Equatable {
  public let value: Double
  /// The same over resampled pictures; nil in a sample that has nothing to measure it on. Two figures over the same
  /// pictures have the same samples, so their differences are paired.
  public let samples: [Double?]
  /// The middle 95 % of the samples; nil where too few have one.
  public let interval: ClosedRange<Double>?

  public init(_ value: Double, samples: [Double?]) {
    self.value = value
    self.samples = samples
    interval = middle(samples)
  }

  /// How much more than another figure on the same pictures, and the middle 95 % of that difference.
  public func minus(_ other: Figure) -> Figure {
    Figure(
      value - other.value,
      samples: zip(samples, other.samples).map { mine, theirs in
        guard let mine, let theirs else { return nil }
        return mine - theirs
      })
  }

  /// Whether its interval lies on one side of 0.
  public var isSure: Bool { interval.map { !$0.contains(0) } ?? false }
}

private func middle(_ samples: [Double?]) -> ClosedRange<Double>? {
  let sorted = samples.compactMap { $0 }.sorted()
  guard sorted.count * 2 > samples.count, sorted.count >= 20 else { return nil }
  let last = Double(sorted.count - 1)
  return sorted[Int((last * 0.025).rounded())]...sorted[Int((last * 0.975).rounded())]
}
