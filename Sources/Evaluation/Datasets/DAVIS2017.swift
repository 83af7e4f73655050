/// DAVIS 2017: sequences of `ImageSets/2017/<split>.txt`, a palette mask per frame whose numbers are objects.
///
/// What an object is says `davis_semantics.json` by sequence; several objects may be one thing. Test splits have a mask
/// for their first frames only, and only those are scored.
enum DAVIS2017 {
  /// - Parameter annotations: `Annotations`, or `Annotations_unsupervised`, where 255 is void
  static func open(
    _ folder: DatasetFolder, split: String, annotations: String = "Annotations"
  ) throws -> MaskedPictures {
    var warnings: [String] = []
    let list = "ImageSets/2017/\(split).txt", file = "davis_semantics.json"
    let sequences = try folder.list(list, &warnings)
    let semantics = try folder.json([String: [String: String]].self, file)
    let kinds = Set(semantics.values.flatMap(\.values)).sorted(by: precedes)
    try SegmentationClasses.check(kinds.count, file)
    let classes = SegmentationClasses(
      Dictionary(uniqueKeysWithValues: zip(0..., ["background"] + kinds)), background: 0)
    var entries: [MaskedPictures.Entry] = [], numberings: [LabelNumbering] = []
    for sequence in sequences {
      var found = try frames(of: sequence, folder, list, annotations, isTest: split.hasPrefix("test"))
      let objects = semantics[sequence]
      for index in found.indices {
        found[index].numbering = numberings.count
        if objects == nil, found[index].fault == nil {
          found[index].fault = DatasetProblem(
            file, "nothing is said of the sequence '\(sequence)', so its objects have no names")
        }
      }
      entries += found
      var rows: [Int: Int16] = [0: 0]
      for (number, kind) in objects ?? [:] {
        guard let number = Int(number), number > 0, let row = kinds.firstIndex(of: kind) else {
          throw DatasetProblem(file, "'\(sequence)': expected numbers of objects from 1, found '\(number)'")
        }
        rows[number] = Int16(row + 1)
      }
      numberings.append(LabelNumbering(rows, void: [255]))
    }
    return MaskedPictures(
      folder: folder, classes: classes, numberings: numberings, entries: entries, warnings: warnings)
  }

  private static func frames(
    of sequence: String, _ folder: DatasetFolder, _ list: String, _ annotations: String, isTest: Bool
  ) throws -> [MaskedPictures.Entry] {
    try videoFrames(
      of: sequence, folder, list: list, pictures: "JPEGImages/480p/\(sequence)",
      masks: "\(annotations)/480p/\(sequence)", onlyMasked: isTest)
  }
}

/// The frames of a video: pictures and masks of one folder each, in the order of their names. Frame numbers may start
/// anywhere and have gaps.
///
/// - Parameter onlyMasked: leaves out frames without a mask instead of missing it
func videoFrames(
  of video: String, _ folder: DatasetFolder, list: String, pictures: String, masks: String, onlyMasked: Bool = false
) throws -> [MaskedPictures.Entry] {
  func faulty(_ problem: DatasetProblem) -> [MaskedPictures.Entry] {
    var entry = MaskedPictures.Entry(id: video, picture: "", mask: "")
    entry.fault = problem
    return [entry]
  }
  if DatasetFolder.leadsOut(video) {
    return faulty(DatasetProblem(list, "the entry '\(video)' leads out of the data set's folder"))
  }
  let taken: [String], labelled: [String]
  do { taken = try folder.names(in: pictures) } catch let problem as DatasetProblem { return faulty(problem) }
  do { labelled = try folder.names(in: masks) } catch let problem as DatasetProblem { return faulty(problem) }
  let pairs = PairedNames(pictures: taken, masks: labelled, maskEnds: [".png"]), present = Set(labelled)
  if pairs.sorted.isEmpty { return faulty(DatasetProblem(pictures, "there are no frames")) }
  return pairs.sorted.filter { !onlyMasked || present.contains($0 + ".png") }.map {
    MaskedPictures.Entry(
      id: "\(video)/\($0)", picture: "\(pictures)/\(pairs.picture($0, expected: $0 + ".jpg"))",
      mask: "\(masks)/\($0).png", sequence: video)
  }
}
