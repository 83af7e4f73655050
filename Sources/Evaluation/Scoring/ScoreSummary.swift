/// The figures of a run or of a picture in the form of `expected_scores.json`.
extension ClassCounts {
  /// - Parameter classes: names of the rows
  func summary(_ classes: SegmentationClasses) -> JSONText {
    let union = union
    let found = classes.names.indices.filter { union[$0] > 0 }
    return .object([
      ("pixels", .integer(labelled)),
      ("pixel_accuracy", .optional(labelled == 0 ? nil : accuracy)),
      ("miou", .optional(meanOverFound)),
      ("miou_gt", .optional(meanOverTrue)),
      ("iou", .object(found.map { (classes.names[$0], .number(share(intersection[$0], of: union[$0]))) })),
    ])
  }
}

extension BinaryCounts {
  fileprivate var rates: [(String, JSONText)] {
    [
      ("pixel_accuracy", .number(accuracy)), ("iou_foreground", .number(foregroundIoU)),
      ("iou_background", .number(backgroundIoU)), ("miou", .number(meanIoU)),
    ]
  }
}

extension PictureScores {
  /// The figures of this picture.
  public func summary(_ classes: SegmentationClasses) -> JSONText {
    var members: [(String, JSONText)] = [
      ("id", .text(id)), ("size", .list([.integer(height), .integer(width)])), ("concepts", .texts(concepts)),
      ("argmax", argmax.summary(classes)),
    ]
    if let thresholded { members.append(("argmax_threshold", thresholded.summary(classes))) }
    members.append(("binary", .list(binary.map(\.summary))))
    return .object(members)
  }
}

extension BinaryScores {
  fileprivate var summary: JSONText {
    var theirs = JSONText.null
    if let authors {
      theirs = .object([
        ("pixel_accuracy", .number(authors.counts.accuracy)),
        ("miou_as_printed", .number(authors.counts.upstreamIoU)),
        ("miou_two_class", .number(authors.counts.meanIoU)), ("ap", .number(authors.averagePrecision)),
      ])
    }
    return .object(
      [("concept", .text(concept))] + counts.rates
        + [("ap", .number(averagePrecision)), ("conceptattention", theirs)])
  }
}

extension SegmentationTotals {
  /// The figures of all pictures.
  public func summary(
    _ classes: SegmentationClasses, format: String, split: String, rules: ScoringRules
  ) -> JSONText {
    var members: [(String, JSONText)] = [
      ("format", .text(format)), ("split", .text(split)), ("threshold", .number(rules.threshold)),
      ("pictures", .integer(pictures)), ("argmax", argmax.summary(classes)),
    ]
    if let thresholded { members.append(("argmax_threshold", thresholded.summary(classes))) }
    if pairs > 0 {
      members.append(
        (
          "binary",
          .object(
            [("pairs", .integer(pairs))] + binary.rates
              + [
                ("map", .optional(self[.averagePrecision])), ("mean_picture_miou", .optional(self[.pairIoU])),
              ])
        ))
      members.append(
        (
          "conceptattention",
          .object([
            ("pairs", .integer(authorsPairs)), ("pixel_accuracy", .optional(self[.authorsAccuracy])),
            ("miou_as_printed", .optional(self[.upstreamIoU])), ("miou_two_class", .optional(self[.authorsIoU])),
            ("map", .optional(self[.authorsAveragePrecision])),
          ])
        ))
    }
    if let consistency = self[.videoConsistency] { members.append(("mvc8", .number(consistency))) }
    return .object(members)
  }
}
