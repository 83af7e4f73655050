/// Confidence intervals by resampling pictures (videos as wholes), as pictures come: nothing is kept of a picture.
///
/// In every replicate a picture counts as often as a Poisson number with mean 1 says (Hanley and MacGibbon 2006, Chamandy
/// et al. 2012). The number depends on the picture's name and the replicate alone, so replicates of parts add up to those
/// of the whole, and replicates of two methods on the same pictures are pairs: their differences give a paired test.
public struct Bootstrap: Sendable {
  public private(set) var replicates: [SegmentationTotals]

  public init(_ classes: SegmentationClasses, replicates: Int = 200) {
    self.replicates = [SegmentationTotals](repeating: SegmentationTotals(classes), count: replicates)
  }

  public mutating func add(_ scores: PictureScores) {
    var state = hash(scores.sequence ?? scores.id)
    for index in replicates.indices {
      let weight = poisson(&state)
      if weight > 0 { replicates[index].add(scores, weight: weight) }
    }
  }

  public static func += (total: inout Bootstrap, more: Bootstrap) {
    for (index, replicate) in more.replicates.enumerated() { total.replicates[index] += replicate }
  }

  /// The middle 95 % of the replicates' figures; nil where too few have one.
  public func interval(_ metric: SegmentationMetric) -> ClosedRange<Double>? {
    middle(replicates.compactMap { $0[metric] })
  }

  /// The middle 95 % of the differences to another method on the same pictures.
  public func interval(_ metric: SegmentationMetric, minus other: Bootstrap) -> ClosedRange<Double>? {
    middle(
      zip(replicates, other.replicates).compactMap { mine, theirs in
        guard let one = mine[metric], let two = theirs[metric] else { return nil }
        return one - two
      })
  }

  private func middle(_ values: [Double]) -> ClosedRange<Double>? {
    guard values.count * 2 > replicates.count, values.count >= 20 else { return nil }
    let sorted = values.sorted(), last = Double(sorted.count - 1)
    return sorted[Int((last * 0.025).rounded())]...sorted[Int((last * 0.975).rounded())]
  }
}

/// FNV-1a: the same on every machine, which Swift's own hashes are not.
private func hash(_ text: String) -> UInt64 {
  text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

/// SplitMix64, then the Poisson distribution of mean 1 by its sums.
private func poisson(_ state: inout UInt64) -> Int {
  state &+= 0x9E37_79B9_7F4A_7C15
  var bits = state
  bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
  bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
  let uniform = Double((bits ^ bits >> 31) >> 11) * 0x1p-53
  var count = 0, term = 0.367879441171442322, sum = term
  while uniform >= sum, count < 20 {
    count += 1
    term /= Double(count)
    sum += term
  }
  return count
}
