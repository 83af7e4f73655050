import Formats
import Foundation
import Tensor

/// PASCAL Context: `VOCdevkit/VOC2010`, 59 classes in the order of the alphabet and, or not, background.
///
/// Either the converted masks (`SegmentationClassContext`) or the 459 labels of `trainval/*.mat`, whose names
/// `labels.txt` has: names outside the 59 are background.
enum PascalContext {
  static let names = words(
    """
    background aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus cabinet car cat
    ceiling chair cloth computer cow cup curtain dog door fence floor flower food grass ground horse keyboard
    light motorbike mountain mouse person plate platform pottedplant road rock sheep shelves sidewalk sign sky
    snow sofa table track train tree truck tvmonitor wall water window wood
    """)

  /// - Parameters:
  ///   - hasBackground: whether what is none of the 59 is a class (60 classes) or left out (59)
  ///   - isRaw: whether masks are the original `.mat` files
  static func open(_ folder: DatasetFolder, split: String, hasBackground: Bool, isRaw: Bool) throws -> MaskedPictures {
    var names = Dictionary(uniqueKeysWithValues: zip(0..., names))
    if !hasBackground { names[0] = nil }
    let classes = SegmentationClasses(names, background: hasBackground ? 0 : nil)
    let base = "VOCdevkit/VOC2010", list = "ImageSets/SegmentationContext/\(split).txt"
    if !isRaw {
      return try PascalVOC.listed(
        folder, base: base, list: list, masks: "SegmentationClassContext", classes: classes,
        void: hasBackground ? [255] : [0, 255])
    }
    return try raw(folder, base, "\(base)/\(list)", classes)
  }

  private static func raw(
    _ folder: DatasetFolder, _ base: String, _ list: String, _ classes: SegmentationClasses
  ) throws -> MaskedPictures {
    var warnings: [String] = []
    let other = classes.background.map(Int16.init) ?? SegmentationExample.void
    var rows: [Int: Int16] = [0: other]
    for line in lines(try folder.bytes("labels.txt")) where !line.isEmpty {
      let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, let number = Int(parts[0]) else {
        throw DatasetProblem("labels.txt", "expected lines such as '1: accordion', found '\(line.prefix(40))'")
      }
      // Joined by name: the lists that go round number the 59 differently.
      rows[number] = classes.rows[parts[1]].map(Int16.init) ?? other
    }
    let classNumbers = rows.filter { $0.value >= 0 }
    let entries = try folder.list(list, &warnings).map {
      MaskedPictures.Entry.listed($0, in: list, picture: "\(base)/JPEGImages/\($0).jpg", mask: "trainval/\($0).mat")
    }
    var pictures = MaskedPictures(
      folder: folder, classes: classes,
      numberings: [LabelNumbering(classNumbers, void: rows.filter { $0.value < 0 }.keys)], entries: entries,
      warnings: warnings)
    pictures.readMask = { path, folder in
      let full = try folder.file(path)
      let map: Tensor
      do { map = try MATLABFile(path: full).tensor("LabelMap") } catch { throw folder.problem(path, error) }
      guard map.rank == 2 else { throw DatasetProblem(path, "LabelMap has the shape \(map.shape), expected two axes") }
      // Negative numbers and those that are none are nobody's label.
      let numbers = map.converted(to: .f64).scalars(as: Double.self).map { $0 > 0 ? UInt16(min($0, 65535)) : 0 }
      return LabelPicture(height: map.shape[0], width: map.shape[1], numbers: numbers)
    }
    return pictures
  }
}
