import Foundation

/// COCO-Stuff: `annotations/<split>2017/<picture>.png` and `images/<split>2017`, 171 classes, no background.
///
/// A pixel has the number of its class in `labels.txt` less one; 255 is unlabelled. Other kinds of masks lie in the same
/// folder.
enum COCOStuff {
  static func open(_ folder: DatasetFolder, split: String) throws -> MaskedPictures {
    let classes = SegmentationClasses(try names(folder))
    let masks = "annotations/\(split)2017", pictures = "images/\(split)2017"
    let own = try folder.names(in: masks).filter { $0.hasSuffix(".png") && !$0.contains("TrainIds") }
    let pairs = PairedNames(pictures: try folder.names(in: pictures), masks: own, maskEnds: [".png"])
    guard pairs.hasPictures else { throw DatasetProblem(pictures, "there are no pictures") }
    let entries = pairs.sorted.map {
      MaskedPictures.Entry(
        id: $0, picture: "\(pictures)/\(pairs.picture($0, expected: $0 + ".jpg"))", mask: "\(masks)/\($0).png")
    }
    return MaskedPictures(
      folder: folder, classes: classes, numberings: [LabelNumbering(classes, void: [255])], entries: entries,
      warnings: [])
  }

  private static func names(_ folder: DatasetFolder) throws -> [Int: String] {
    var names: [Int: String] = [:]
    for line in lines(try folder.bytes("labels.txt")) where !line.isEmpty {
      let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, let number = Int(parts[0]), number >= 0 else {
        throw DatasetProblem("labels.txt", "expected lines such as '1: person', found '\(line.prefix(40))'")
      }
      if number > 0 { names[number - 1] = parts[1] }
    }
    if names.isEmpty { throw DatasetProblem("labels.txt", "there are no classes") }
    try SegmentationClasses.check(names.count, "labels.txt")
    return names
  }
}
