/// What is counted over all pictures. Totals of parts add up to the totals of the whole, to the bit and in any order, so
/// that a run may be cut off and go on, or be spread over machines.
public struct SegmentationTotals: Sendable, Equatable {
  public private(set) var pictures = 0
  public private(set) var argmax: ClassCounts
  public private(set) var thresholded: ClassCounts?
  /// Pairs of a picture and a concept in it.
  public private(set) var pairs = 0
  public private(set) var binary = BinaryCounts()
  private var precisions = ExactSum(), pairIoUs = ExactSum()
  public private(set) var authorsPairs = 0
  public private(set) var authors = BinaryCounts()
  private var authorsPrecisions = ExactSum()
  /// Pictures with a mean IoU of their own, and the sum of these.
  private var scoredPictures = 0, pictureIoUs = ExactSum()
  private var steady = Steadiness()

  public init(_ classes: SegmentationClasses) {
    self.init(classes: classes.count, hasBackground: classes.background != nil)
  }

  init(classes: Int, hasBackground: Bool) {
    argmax = ClassCounts(classes: classes)
    thresholded = hasBackground ? argmax : nil
  }

  /// Adds a picture.
  public mutating func add(_ scores: PictureScores) {
    pictures += 1
    argmax += scores.argmax
    if let more = scores.thresholded { thresholded? += more }
    for pair in scores.binary { add(pair) }
    if let iou = scores.argmax.meanOverTrue {
      scoredPictures += 1
      pictureIoUs += iou
    }
    if let more = scores.steady {
      steady.windows += more.windows
      steady.share += more.share
    }
  }

  private mutating func add(_ pair: BinaryScores) {
    pairs += 1
    binary += pair.counts
    precisions += pair.averagePrecision
    pairIoUs += pair.counts.meanIoU
    guard let authors = pair.authors else { return }
    authorsPairs += 1
    self.authors += authors.counts
    authorsPrecisions += authors.averagePrecision
  }

  public static func += (total: inout SegmentationTotals, more: SegmentationTotals) {
    total.add(more, times: 1, rows: more.rows)
  }

  /// Classes that anything is counted of.
  var rows: [Int] {
    argmax.truth.indices.filter { argmax.isCounted($0) || thresholded?.isCounted($0) ?? false }
  }

  /// Adds totals several times.
  ///
  /// - Parameter rows: of `more`
  mutating func add(_ more: SegmentationTotals, times: Int, rows: [Int]) {
    pictures += more.pictures * times
    argmax.add(more.argmax, times: times, rows: rows)
    if let counts = more.thresholded { thresholded?.add(counts, times: times, rows: rows) }
    pairs += more.pairs * times
    binary.add(more.binary, times: times)
    precisions += more.precisions.times(times)
    pairIoUs += more.pairIoUs.times(times)
    authorsPairs += more.authorsPairs * times
    authors.add(more.authors, times: times)
    authorsPrecisions += more.authorsPrecisions.times(times)
    scoredPictures += more.scoredPictures * times
    pictureIoUs += more.pictureIoUs.times(times)
    steady.windows += more.steady.windows * times
    steady.share += more.steady.share.times(times)
  }

  /// A figure; nil where there is nothing to measure it on.
  public subscript(_ metric: SegmentationMetric) -> Double? {
    switch metric {
    case .accuracy: argmax.labelled == 0 ? nil : argmax.accuracy
    case .meanIoU: argmax.meanOverFound
    case .meanIoUOfTrue: argmax.meanOverTrue
    case .pictureIoU: pictureIoUs.mean(scoredPictures)
    case .thresholdAccuracy: thresholded.flatMap { $0.labelled == 0 ? nil : $0.accuracy }
    case .thresholdMeanIoU: thresholded?.meanOverFound
    case .thresholdMeanIoUOfTrue: thresholded?.meanOverTrue
    case .binaryAccuracy: pairs == 0 ? nil : binary.accuracy
    case .binaryIoU: pairs == 0 ? nil : binary.meanIoU
    case .foregroundIoU: pairs == 0 ? nil : binary.foregroundIoU
    case .pairIoU: pairIoUs.mean(pairs)
    case .averagePrecision: precisions.mean(pairs)
    case .authorsAccuracy: authorsPairs == 0 ? nil : authors.accuracy
    case .authorsIoU: authorsPairs == 0 ? nil : authors.meanIoU
    case .upstreamIoU: authorsPairs == 0 ? nil : authors.upstreamIoU
    case .authorsAveragePrecision: authorsPrecisions.mean(authorsPairs)
    case .videoConsistency: steady.share.mean(steady.windows)
    }
  }
}

/// The figures of a run; the raw value is the name in files and protocols.
public enum SegmentationMetric: String, Sendable, CaseIterable, Codable {
  /// Pixels that are given their class when every pixel has the class of its largest map.
  case accuracy
  /// Of the same, intersection over union from counts over all pictures: mean over classes that are found or true.
  case meanIoU = "miou"
  /// The mean over classes that are true somewhere.
  case meanIoUOfTrue = "miou_gt"
  /// Every picture's mean IoU over the classes in it, and the mean of that.
  case pictureIoU = "picture_miou"
  /// The same three where unsure pixels are background.
  case thresholdAccuracy = "threshold_accuracy"
  case thresholdMeanIoU = "threshold_miou"
  case thresholdMeanIoUOfTrue = "threshold_miou_gt"
  /// Every concept alone against its mask, above the mean of its map.
  case binaryAccuracy = "binary_accuracy"
  case binaryIoU = "binary_miou"
  case foregroundIoU = "foreground_iou"
  case pairIoU = "pair_miou"
  /// Average precision of a concept's map, mean over pairs of picture and concept.
  case averagePrecision = "map"
  /// By the rules of ConceptAttention's authors, at 224 × 224.
  case authorsAccuracy = "authors_accuracy"
  case authorsIoU = "authors_miou"
  /// What their script prints as mIoU: accuracy / (2 - accuracy).
  case upstreamIoU = "upstream_iou"
  case authorsAveragePrecision = "authors_map"
  /// VSPW's mVC8: the share of pixels whose true class stays for eight frames that keep their prediction too, mean over
  /// windows.
  case videoConsistency = "mvc8"

  public var title: String {
    switch self {
    case .accuracy: "Acc"
    case .meanIoU: "mIoU"
    case .meanIoUOfTrue: "mIoU (true classes)"
    case .pictureIoU: "mIoU per picture"
    case .thresholdAccuracy: "Acc, threshold"
    case .thresholdMeanIoU: "mIoU, threshold"
    case .thresholdMeanIoUOfTrue: "mIoU (true classes), threshold"
    case .binaryAccuracy: "Acc, two classes"
    case .binaryIoU: "mIoU, two classes"
    case .foregroundIoU: "IoU of foreground"
    case .pairIoU: "mIoU per pair"
    case .averagePrecision: "mAP"
    case .authorsAccuracy: "Acc, authors' rules"
    case .authorsIoU: "mIoU, authors' rules"
    case .upstreamIoU: "\"mIoU\" as the authors print it"
    case .authorsAveragePrecision: "mAP, authors' rules"
    case .videoConsistency: "mVC8"
    }
  }

  /// What a reader should know before comparing the figure with a paper's.
  public var note: String? {
    self == .upstreamIoU
      ? "Accuracy / (2 - accuracy): the authors' script gives both classes the same counts, so this is no mIoU." : nil
  }
}
