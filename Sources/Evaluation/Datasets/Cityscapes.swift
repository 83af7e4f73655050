/// Cityscapes: `leftImg8bit` and `gtFine`, 19 of 34 classes scored, the others void.
///
/// Masks are `labelIds`; where only `labelTrainIds` (0 to 18, 255 void) are there, those.
enum Cityscapes {
  static let names = [
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
  ]

  static func open(_ folder: DatasetFolder, split: String) throws -> MaskedPictures {
    let classes = SegmentationClasses(names)
    let pictures = "leftImg8bit/\(split)", masks = "gtFine/\(split)"
    let ends = ["_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"]
    var entries: [MaskedPictures.Entry] = [], hasPictures = false
    let cities = Set(try folder.names(in: pictures)).union(try folder.names(in: masks)).sorted(by: precedes)
    let labelled = try Dictionary(
      uniqueKeysWithValues: cities.map { city in
        (city, folder.contains("\(masks)/\(city)") ? try folder.names(in: "\(masks)/\(city)") : [])
      })
    // Train ids are made by a script and so often missing; where only they are, they do.
    let isSecond = !labelled.values.joined().contains { $0.hasSuffix(ends[0]) }
    let end = ends[isSecond && labelled.values.joined().contains { $0.hasSuffix(ends[1]) } ? 1 : 0]
    for city in cities {
      let taken = folder.contains("\(pictures)/\(city)") ? try folder.names(in: "\(pictures)/\(city)") : []
      let pairs = PairedNames(
        pictures: taken, pictureEnd: "_leftImg8bit", masks: labelled[city] ?? [], maskEnds: [end])
      hasPictures = hasPictures || pairs.hasPictures
      for stem in pairs.sorted {
        entries.append(
          MaskedPictures.Entry(
            id: stem, picture: "\(pictures)/\(city)/\(pairs.picture(stem, expected: stem + "_leftImg8bit.png"))",
            mask: "\(masks)/\(city)/\(stem)\(end)", numbering: end == ends[1] ? 1 : 0))
      }
    }
    guard hasPictures else { throw DatasetProblem(pictures, "there are no pictures") }
    let trainIDs = Dictionary(uniqueKeysWithValues: (0..<19).map { ($0, Int16($0)) })
    return MaskedPictures(
      folder: folder, classes: classes,
      numberings: [LabelNumbering(classes, void: 0..<34), LabelNumbering(trainIDs, void: [255])],
      entries: entries.sorted { precedes($0.id, $1.id) }, warnings: [])
  }
}
