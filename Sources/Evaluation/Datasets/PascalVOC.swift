import Foundation

/// PASCAL VOC 2012's segmentation: `VOCdevkit/VOC2012`, 20 classes and background.
///
/// Pictures are those of `ImageSets/Segmentation/<split>.txt`, masks have a palette, 255 is void.
enum PascalVOC {
  static let names = words(
    """
    background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person
    pottedplant sheep sofa train tvmonitor
    """)

  static func open(_ folder: DatasetFolder, split: String) throws -> MaskedPictures {
    let classes = SegmentationClasses(Dictionary(uniqueKeysWithValues: zip(0..., names)), background: 0)
    return try listed(
      folder, base: "VOCdevkit/VOC2012", list: "ImageSets/Segmentation/\(split).txt", masks: "SegmentationClass",
      classes: classes, void: [255])
  }

  /// The layout of the development kits: a list of names, pictures and masks in folders.
  static func listed(
    _ folder: DatasetFolder, base: String, list: String, masks: String, classes: SegmentationClasses, void: [Int]
  ) throws -> MaskedPictures {
    var warnings: [String] = []
    let list = "\(base)/\(list)"
    let entries = try folder.list(list, &warnings).map {
      MaskedPictures.Entry.listed(
        $0, in: list, picture: "\(base)/JPEGImages/\($0).jpg", mask: "\(base)/\(masks)/\($0).png")
    }
    return MaskedPictures(
      folder: folder, classes: classes, numberings: [LabelNumbering(classes, void: void)], entries: entries,
      warnings: warnings)
  }
}

/// Words of a text, `_` standing for a blank within a name.
func words(_ text: String) -> [String] {
  text.split(whereSeparator: \.isWhitespace).map { String($0).replacing("_", with: " ") }
}
