/// VSPW: videos of `<split>.txt`, `data/<video>/{origin,mask}`, 124 classes; 0 and 255 are void.
enum VSPW {
  static func open(_ folder: DatasetFolder, split: String) throws -> MaskedPictures {
    var warnings: [String] = []
    let list = "\(split).txt", file = "label_num_dic_final.json"
    let videos = try folder.list(list, &warnings)
    var names: [Int: String] = [:]
    for (name, number) in try folder.json([String: LabelNumber].self, file) where number.value != 0 {
      names[number.value] = name
    }
    if names.isEmpty { throw DatasetProblem(file, "there are no classes") }
    try SegmentationClasses.check(names.count, file)
    let classes = SegmentationClasses(names)
    let entries = try videos.flatMap { video in
      try videoFrames(
        of: video, folder, list: list, pictures: "data/\(video)/origin", masks: "data/\(video)/mask")
    }
    return MaskedPictures(
      folder: folder, classes: classes, numberings: [LabelNumbering(classes, void: [0, 255])], entries: entries,
      warnings: warnings)
  }

  /// A number, which the file has as a text.
  private struct LabelNumber: Decodable {
    let value: Int

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int.self) {
        value = number
      } else if let number = Int(try container.decode(String.self)) {
        value = number
      } else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected the number of a class")
      }
    }
  }
}
