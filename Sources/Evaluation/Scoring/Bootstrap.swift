/// Confidence intervals by resampling pictures (videos as wholes), as pictures come: nothing is kept of a picture.
///
/// In every replicate a picture counts as often as a Poisson number with mean 1 says (Hanley and MacGibbon 2006, Chamandy
/// et al. 2012). The number depends on the picture's name and the replicate alone, so replicates of parts add up to those
/// of the whole, and replicates of two methods on the same pictures are pairs: their differences give a paired test.
public struct Bootstrap: Sendable {
  public private(set) var replicates: [SegmentationTotals]

  /// Replicates unless asked for otherwise.
  public static let replicates = 1000

  public init(_ classes: SegmentationClasses, replicates: Int = Bootstrap.replicates) {
    self.replicates = [SegmentationTotals](repeating: SegmentationTotals(classes), count: replicates)
  }

  public mutating func add(_ scores: PictureScores) {
    var one = SegmentationTotals(classes: scores.argmax.truth.count, hasBackground: scores.thresholded != nil)
    one.add(scores)
    let rows = one.rows
    for (index, weight) in resampledWeights(of: scores.sequence ?? scores.id, count: replicates.count).enumerated()
    where weight > 0 {
      replicates[index].add(one, times: weight, rows: rows)
    }
  }

  public static func += (total: inout Bootstrap, more: Bootstrap) {
    for (index, replicate) in more.replicates.enumerated() { total.replicates[index] += replicate }
  }

  /// What the replicates say.
  public func samples(_ metric: SegmentationMetric) -> [Double?] { replicates.map { $0[metric] } }
}

/// How often a picture counts in each replicate: Poisson numbers with mean 1, the same for a name every time.
func resampledWeights(of name: String, count: Int = Bootstrap.replicates) -> [Int] {
  var state = hashOf(name)
  return (0..<count).map { _ in poisson(&state) }
}

/// FNV-1a: the same on every machine, which Swift's own hashes are not.
func hashOf(_ text: String) -> UInt64 {
  text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

/// SplitMix64.
func nextRandom(_ state: inout UInt64) -> UInt64 {
  state &+= 0x9E37_79B9_7F4A_7C15
  var bits = state
  bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
  bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
  return bits ^ bits >> 31
}

/// The Poisson distribution of mean 1 by its sums.
private func poisson(_ state: inout UInt64) -> Int {
  let uniform = Double(nextRandom(&state) >> 11) * 0x1p-53
  var count = 0, term = 0.367879441171442322, sum = term
  while uniform >= sum, count < 20 {
    count += 1
    term /= Double(count)
    sum += term
  }
  return count
}
