import Tensor

/// Pictures in files, each with a mask of numbers in another: what most data sets come down to.
struct MaskedPictures: SegmentationDataset {
  struct Entry: Sendable {
    let id: String
    /// Relative to the folder.
    let picture, mask: String
    var sequence: String?
    /// Which of the numberings the mask has.
    var numbering = 0
    /// Known to be wrong before anything is read.
    var fault: DatasetProblem?
  }

  let folder: DatasetFolder
  let classes: SegmentationClasses
  let numberings: [LabelNumbering]
  let entries: [Entry]
  let warnings: [String]
  /// Reads a mask; PNG unless a data set has another way.
  var readMask: @Sendable (String, DatasetFolder) throws -> LabelPicture = { try LabelPicture($0, in: $1) }

  var count: Int { entries.count }
  func id(_ index: Int) -> String { entries[index].id }
  func sequence(_ index: Int) -> String? { entries[index].sequence }

  func example(_ index: Int) throws -> SegmentationExample {
    let entry = entries[index]
    if let fault = entry.fault { throw fault }
    let mask = try readMask(entry.mask, folder)
    let picture = try folder.picture(entry.picture)
    try mask.check(picture, entry.mask)
    var warnings: [String] = []
    let labels = numberings[entry.numbering].labels(mask, entry.mask, &warnings)
    var example = SegmentationExample(id: entry.id, picture: picture, labels: labels)
    example.warnings = warnings
    return example
  }
}

extension MaskedPictures.Entry {
  /// An entry of a list, refused before any file is opened when it leads out of the folder.
  static func listed(_ name: String, in list: String, picture: String, mask: String) -> Self {
    var entry = Self(id: name, picture: picture, mask: mask)
    if DatasetFolder.leadsOut(name) {
      entry.fault = DatasetProblem(list, "the entry '\(name)' leads out of the data set's folder")
    }
    return entry
  }
}

/// Pictures and masks of one folder each, paired by the names they share: one without the other is an entry too, which
/// then names what is missing.
struct PairedNames {
  private var pictures: [String: String] = [:]
  private var stems: Set<String> = []

  /// - Parameters:
  ///   - pictureEnd: what a picture's name has behind the shared part, beside its extension
  ///   - maskEnds: of masks, extension included
  init(pictures names: [String], pictureEnd: String = "", masks: [String], maskEnds: [String]) {
    for name in names {
      guard let dot = name.lastIndex(of: "."), ["jpg", "jpeg", "png"].contains(name[dot...].dropFirst().lowercased()),
        name[..<dot].hasSuffix(pictureEnd)
      else { continue }
      let stem = String(name[..<dot].dropLast(pictureEnd.count))
      pictures[stem] = name
      stems.insert(stem)
    }
    for mask in masks {
      for end in maskEnds where mask.hasSuffix(end) { stems.insert(String(mask.dropLast(end.count))) }
    }
  }

  var hasPictures: Bool { !pictures.isEmpty }
  var sorted: [String] { stems.sorted(by: precedes) }

  /// The picture's name; the one it should have when it is missing.
  func picture(_ stem: String, expected: String) -> String { pictures[stem] ?? expected }
}
