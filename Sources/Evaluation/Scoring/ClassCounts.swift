import Tensor

/// Counts of a labelling against the truth, from which accuracy and intersection over union follow.
///
/// Counts of several pictures add up, so that large regions weigh more than small ones.
public struct ClassCounts: Sendable, Equatable {
  /// Pixels whose label is right, and pixels that have a truth.
  public private(set) var correct = 0, labelled = 0
  /// By class: pixels that have it in truth, in the prediction, and in both.
  public private(set) var truth, predicted, intersection: [Int]

  public init(classes: Int) {
    intersection = [Int](repeating: 0, count: classes)
    truth = intersection
    predicted = intersection
  }

  /// - Parameters:
  ///   - predicted: a class per pixel; one outside `0 ..< classes` is right nowhere and counts for no class
  ///   - target: the true class per pixel, as many as `predicted`; negative for a pixel that is left out
  public init(predicted: some Collection<Int>, target: some Collection<Int>, classes: Int) {
    guard predicted.count == target.count else {
      tensorFailure("ClassCounts: \(predicted.count) labels, \(target.count) truths")
    }
    self.init(classes: classes)
    for (found, truth) in zip(predicted, target) { add(1, predicted: found, truth: truth) }
  }

  /// Adds pixels of one kind.
  ///
  /// - Parameters:
  ///   - found: their predicted class; one outside of the classes is right nowhere and counts for no class
  ///   - target: their true class; negative for pixels that are left out
  public mutating func add(_ pixels: Int, predicted found: Int, truth target: Int) {
    guard target >= 0, pixels > 0 else { return }
    labelled += pixels
    if truth.indices.contains(target) { truth[target] += pixels }
    if predicted.indices.contains(found) { predicted[found] += pixels }
    guard found == target else { return }
    correct += pixels
    if truth.indices.contains(target) { intersection[target] += pixels }
  }

  public static func += (total: inout ClassCounts, more: ClassCounts) {
    guard total.truth.count == more.truth.count else {
      tensorFailure("ClassCounts: counts of \(total.truth.count) and \(more.truth.count) classes do not add up")
    }
    total.add(more, times: 1, rows: more.truth.indices)
  }

  /// Adds counts several times.
  ///
  /// - Parameter rows: classes that `more` has counted anything of
  mutating func add(_ more: ClassCounts, times: Int, rows: some Collection<Int>) {
    correct += more.correct * times
    labelled += more.labelled * times
    for row in rows {
      truth[row] += more.truth[row] * times
      predicted[row] += more.predicted[row] * times
      intersection[row] += more.intersection[row] * times
    }
  }

  /// Whether a class is in truth or prediction.
  func isCounted(_ row: Int) -> Bool { truth[row] + predicted[row] > 0 }

  /// Pixels of one picture or clip; millions of such counts add up.
  static let pixelRange = 0...1 << 40

  /// Whether these can be counts of one picture, of so many classes.
  func areSound(classes: Int) -> Bool {
    truth.count == classes && Self.pixelRange.contains(labelled) && (0...max(labelled, 0)).contains(correct)
      && truth.indices.allSatisfy {
        Self.pixelRange.contains(truth[$0]) && Self.pixelRange.contains(predicted[$0])
          && (0...max(min(truth[$0], predicted[$0]), 0)).contains(intersection[$0])
      }
  }

  /// By class: pixels that have it in at least one of prediction and truth.
  public var union: [Int] { truth.indices.map { truth[$0] + predicted[$0] - intersection[$0] } }
  /// Share of labelled pixels that are right; 0 when none is labelled.
  public var accuracy: Double { share(correct, of: labelled) }
  /// Intersection over union by class; 0 for a class that is nowhere.
  public var intersectionOverUnion: [Double] { zip(intersection, union).map { share($0, of: $1) } }
  /// The mean over all classes, those that are nowhere included.
  public var meanIntersectionOverUnion: Double { mean(intersectionOverUnion) }
  /// The mean over the classes that are in truth or prediction; nil when there is none.
  public var meanOverFound: Double? { meanIoU(where: union.map { $0 > 0 }) }
  /// The mean over the classes that are in the truth; nil when there is none.
  public var meanOverTrue: Double? { meanIoU(where: truth.map { $0 > 0 }) }

  private func meanIoU(where counts: [Bool]) -> Double? {
    let values = zip(intersectionOverUnion, counts).filter(\.1).map(\.0)
    return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }
}

/// As `{"of": 21, "correct": 5, "labelled": 9, "classes": {"3": [truth, predicted, both]}}`, classes that are nowhere
/// left out.
extension ClassCounts: Codable {
  private enum CodingKeys: String, CodingKey { case correct, labelled, classes, of }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let count = try container.decode(Int.self, forKey: .of)
    guard (0...1 << 16).contains(count) else {
      throw DecodingError.dataCorruptedError(forKey: .of, in: container, debugDescription: "\(count) classes")
    }
    self.init(classes: count)
    correct = try container.decode(Int.self, forKey: .correct)
    labelled = try container.decode(Int.self, forKey: .labelled)
    for (key, counts) in try container.decode([String: [Int]].self, forKey: .classes) {
      guard let row = Int(key), truth.indices.contains(row), counts.count == 3 else {
        throw DecodingError.dataCorruptedError(forKey: .classes, in: container, debugDescription: "class '\(key)'")
      }
      (truth[row], predicted[row], intersection[row]) = (counts[0], counts[1], counts[2])
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(truth.count, forKey: .of)
    try container.encode(correct, forKey: .correct)
    try container.encode(labelled, forKey: .labelled)
    var classes: [String: [Int]] = [:]
    for row in truth.indices where truth[row] + predicted[row] > 0 {
      classes["\(row)"] = [truth[row], predicted[row], intersection[row]]
    }
    try container.encode(classes, forKey: .classes)
  }
}

/// 0 of nothing is 0.
func share(_ part: Int, of whole: Int) -> Double { whole == 0 ? 0 : Double(part) / Double(whole) }
