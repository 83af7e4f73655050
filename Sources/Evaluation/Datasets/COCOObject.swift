import Foundation
import Tensor

/// COCO-Object: the 80 things of `annotations/instances_<split>2017.json` and background; pictures in `images`.
///
/// Masks are painted from polygons and run lengths, crowds included, in the order of the file. Classes are numbered
/// 1 to 80 in the order of the categories' ids, which have gaps.
struct COCOObject: SegmentationDataset {
  private struct Entry: Sendable {
    let id, picture: String
    let height, width: Int
    var annotations: [COCOFile.Annotation] = []
    var fault: DatasetProblem?
  }

  let classes: SegmentationClasses
  let warnings: [String]
  private let folder: DatasetFolder
  private let path: String
  private let entries: [Entry]
  /// Rows of classes by category.
  private let rows: [Int: Int]

  init(_ folder: DatasetFolder, split: String) throws {
    self.folder = folder
    path = "annotations/instances_\(split)2017.json"
    let file = try folder.json(COCOFile.self, path)
    if file.images.isEmpty { throw DatasetProblem(path, "there are no pictures") }
    let categories = file.categories.sorted { $0.id < $1.id }
    try SegmentationClasses.check(categories.count, path)
    rows = Dictionary(categories.enumerated().map { ($1.id, $0 + 1) }) { first, _ in first }
    classes = SegmentationClasses(
      Dictionary(uniqueKeysWithValues: zip(0..., ["background"] + categories.map(\.name))), background: 0)
    var warnings: [String] = [], byID: [Int: Entry] = [:]
    for image in file.images {
      guard byID[image.id] == nil else {
        warnings.append("\(path): two pictures have the id \(image.id); it counts once")
        continue
      }
      byID[image.id] = Self.entry(image, split: split, path)
    }
    for annotation in file.annotations {
      if byID[annotation.image_id] == nil {
        let place = "annotation \(annotation.id) belongs to picture \(annotation.image_id)"
        warnings.append("\(path): \(place), which is not there")
      } else if rows[annotation.category_id] == nil {
        let place = "annotation \(annotation.id) has the category \(annotation.category_id)"
        warnings.append("\(path): \(place), which is not there; it is left out")
      } else {
        byID[annotation.image_id]?.annotations.append(annotation)
      }
    }
    self.warnings = warnings
    entries = byID.values.sorted { precedes($0.id, $1.id) }
  }

  private static func entry(_ image: COCOFile.Image, split: String, _ path: String) -> Entry {
    let stem = image.file_name.lastIndex(of: ".").map { String(image.file_name[..<$0]) } ?? image.file_name
    var entry = Entry(
      id: stem, picture: "images/\(split)2017/\(image.file_name)", height: image.height, width: image.width)
    if DatasetFolder.leadsOut(image.file_name) {
      entry.fault = DatasetProblem(path, "the picture '\(image.file_name)' leads out of the data set's folder")
    } else if !(1...1 << 16).contains(image.height) || !(1...1 << 16).contains(image.width) {
      entry.fault = DatasetProblem(path, "picture \(image.id) has \(image.width) x \(image.height) pixels")
    }
    return entry
  }

  var count: Int { entries.count }
  func id(_ index: Int) -> String { entries[index].id }

  func example(_ index: Int) throws -> SegmentationExample {
    let entry = entries[index]
    if let fault = entry.fault { throw fault }
    let picture = try folder.picture(entry.picture)
    guard picture.shape[0] == entry.height, picture.shape[1] == entry.width else {
      let found = "\(picture.shape[1]) x \(picture.shape[0])"
      throw DatasetProblem(entry.picture, "\(found) pixels, but \(path) says \(entry.width) x \(entry.height)")
    }
    var mask = [UInt16](repeating: 0, count: entry.height * entry.width)
    for annotation in entry.annotations { try paint(annotation, entry, &mask) }
    return SegmentationExample(id: entry.id, picture: picture, labels: mask.map(Int16.init))
  }

  private func paint(_ annotation: COCOFile.Annotation, _ entry: Entry, _ mask: inout [UInt16]) throws {
    let (height, width) = (entry.height, entry.width)
    func fail(_ reason: String) -> DatasetProblem { DatasetProblem(path, "annotation \(annotation.id): \(reason)") }
    let parts: [COCOMask.Runs?]
    switch annotation.segmentation {
    case .polygons(let polygons):
      parts = polygons.map { COCOMask.runs(polygon: $0, height: height, width: width) }
      if parts.contains(nil) { throw fail("a polygon needs three corners or more, not far outside of the picture") }
    case .runs(let runs, let size):
      guard size == [height, width] else {
        throw fail("a mask of size \(size), expected [height, width] of its picture, [\(height), \(width)]")
      }
      parts = [runs]
    case .compressed(let text, let size):
      guard size == [height, width] else {
        throw fail("a mask of size \(size), expected [height, width] of its picture, [\(height), \(width)]")
      }
      parts = [COCOMask.runs(compressed: text)]
      if parts.contains(nil) { throw fail("not a compressed list of run lengths") }
    }
    for runs in parts.compactMap({ $0 }) {
      guard runs.allSatisfy({ (0...height * width).contains($0) }), runs.reduce(0, +) == height * width else {
        throw fail("run lengths add up to \(runs.reduce(0, &+)), expected \(height) x \(width) = \(height * width)")
      }
      COCOMask.paint(runs, UInt16(rows[annotation.category_id] ?? 0), height: height, width: width, &mask)
    }
  }
}

/// What is read of COCO's file.
struct COCOFile: Decodable, Sendable {
  struct Image: Decodable, Sendable {
    let id, height, width: Int
    let file_name: String
  }

  struct Category: Decodable, Sendable {
    let id: Int
    let name: String
  }

  struct Annotation: Decodable, Sendable {
    let id, image_id, category_id: Int
    let segmentation: Segmentation
  }

  enum Segmentation: Decodable, Sendable {
    case polygons([[Double]])
    case runs([Int], size: [Int])
    case compressed(String, size: [Int])

    private enum CodingKeys: String, CodingKey { case counts, size }

    init(from decoder: any Decoder) throws {
      if let polygons = try? decoder.singleValueContainer().decode([[Double]].self) {
        self = .polygons(polygons)
        return
      }
      let container = try decoder.container(keyedBy: CodingKeys.self)
      let size = try container.decode([Int].self, forKey: .size)
      if let text = try? container.decode(String.self, forKey: .counts) {
        self = .compressed(text, size: size)
      } else {
        self = .runs(try container.decode([Int].self, forKey: .counts), size: size)
      }
    }
  }

  let images: [Image]
  let annotations: [Annotation]
  let categories: [Category]
}
