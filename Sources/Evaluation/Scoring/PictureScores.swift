/// Everything that is counted of one picture: what scores are made of, and what adds up.
public struct PictureScores: Sendable, Equatable, Codable {
  public let id: String
  /// The video it is a frame of.
  public var sequence: String?
  public let height, width: Int
  public let concepts: [String]
  /// Every pixel given the class of its largest map.
  public package(set) var argmax: ClassCounts
  /// The same, but background where the softmax over the concepts is below the threshold; nil without a background.
  public internal(set) var thresholded: ClassCounts?
  /// Every concept that is in the picture against its mask.
  public internal(set) var binary: [BinaryScores] = []
  /// Of a video: pixels whose class stays for eight frames up to this one, and those of them whose prediction stays.
  public internal(set) var steady: Steadiness?

  package init(
    id: String, sequence: String? = nil, height: Int, width: Int, concepts: [String], argmax: ClassCounts
  ) {
    self.id = id
    self.sequence = sequence
    self.height = height
    self.width = width
    self.concepts = concepts
    self.argmax = argmax
  }
}

extension PictureScores {
  /// Whether these can be counts of one picture, of a data set with so many classes: a file of them may be damaged.
  func areSound(classes: Int) -> Bool {
    // Sums of roundings may end a little above 1.
    let isShare = { (value: Double) in (0...1.001).contains(value) }
    guard argmax.areSound(classes: classes), thresholded?.areSound(classes: classes) ?? true,
      binary.count <= concepts.count
    else { return false }
    return steady.map { (0...1).contains($0.windows) && isShare($0.share.value) } ?? true
      && binary.allSatisfy { pair in
        isShare(pair.averagePrecision) && pair.counts.areSound
          && (pair.authors.map { isShare($0.averagePrecision) && $0.counts.areSound } ?? true)
      }
  }
}

/// Pixels of a video whose true class is the same in a window of frames, and those of them whose predicted class is too.
public struct Steadiness: Sendable, Equatable, Codable {
  public var windows = 0
  /// The sum over windows of the share of steady pixels that are predicted so.
  public var share = ExactSum()
}

/// A concept's map against the mask of its class in one picture.
public struct BinaryScores: Sendable, Equatable, Codable {
  public let concept: String
  /// Foreground where the map, at the size of the mask, is above its mean.
  public let counts: BinaryCounts
  public let averagePrecision: Double
  /// The same by the rules of ConceptAttention's authors; nil when the object is too small to be left at 224 × 224.
  public internal(set) var authors: Authors?

  public struct Authors: Sendable, Equatable, Codable {
    public let counts: BinaryCounts
    public let averagePrecision: Double
  }
}

/// Pixels of two classes, foreground and background.
public struct BinaryCounts: Sendable, Equatable, Codable {
  public var truePositives = 0, falsePositives = 0, falseNegatives = 0, trueNegatives = 0

  private enum CodingKeys: String, CodingKey {
    case truePositives = "tp", falsePositives = "fp", falseNegatives = "fn", trueNegatives = "tn"
  }

  public init() {}

  mutating func add(truth: Bool, found: Bool) {
    switch (truth, found) {
    case (true, true): truePositives += 1
    case (false, true): falsePositives += 1
    case (true, false): falseNegatives += 1
    case (false, false): trueNegatives += 1
    }
  }

  public static func += (total: inout BinaryCounts, more: BinaryCounts) { total.add(more, times: 1) }

  mutating func add(_ more: BinaryCounts, times: Int) {
    truePositives += more.truePositives * times
    falsePositives += more.falsePositives * times
    falseNegatives += more.falseNegatives * times
    trueNegatives += more.trueNegatives * times
  }

  fileprivate var areSound: Bool {
    [truePositives, falsePositives, falseNegatives, trueNegatives].allSatisfy(ClassCounts.pixelRange.contains)
  }

  public var pixels: Int { truePositives + falsePositives + falseNegatives + trueNegatives }
  public var accuracy: Double { share(truePositives + trueNegatives, of: pixels) }
  public var foregroundIoU: Double { share(truePositives, of: truePositives + falsePositives + falseNegatives) }
  public var backgroundIoU: Double { share(trueNegatives, of: trueNegatives + falsePositives + falseNegatives) }
  /// The mean of both, which is what two-class mIoU means everywhere else.
  public var meanIoU: Double { (foregroundIoU + backgroundIoU) / 2 }
  /// What the script of ConceptAttention's authors prints as mIoU. It lays foreground and background side by side as two
  /// pictures of one pair of classes, so both classes have the same counts and it is accuracy / (2 - accuracy): it says
  /// nothing that accuracy does not, and is not comparable with other papers' mIoU.
  public var upstreamIoU: Double {
    let correct = truePositives + trueNegatives
    return share(correct, of: 2 * pixels - correct)
  }
}

/// A sum that is the same in whatever order and groups it is added up: numbers of 0 … 1 in steps of 2⁻⁴⁰.
public struct ExactSum: Sendable, Equatable, Codable {
  public private(set) var units = 0

  public init() {}

  public static func += (sum: inout ExactSum, value: Double) { sum.units += Int((value * 0x1p40).rounded()) }
  public static func += (sum: inout ExactSum, more: ExactSum) { sum.units += more.units }

  func times(_ weight: Int) -> ExactSum {
    var sum = self
    sum.units *= weight
    return sum
  }

  public var value: Double { Double(units) * 0x1p-40 }
  /// nil of nothing.
  public func mean(_ count: Int) -> Double? { count == 0 ? nil : value / Double(count) }
}
