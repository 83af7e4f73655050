import Foundation
import Tensor

/// ImageNet-Segmentation: `gtsegs_ijcv.mat`, a picture and the mask of its one object each.
///
/// The name of an object is not in the file: its synset's first name in `LOC_synset_mapping.txt`, made simple by
/// `imagenet_class_map.json`. Of several masks of a picture the first counts, as for the authors.
///
/// Source: hila-chefer/Transformer-Explainability `data/Imagenet.py`; helblazer811/ConceptAttention.
struct ImageNetSegmentation: SegmentationDataset {
  private struct Entry: Sendable {
    let id, synset: String
    let picture, mask: HDF5Reference
  }

  let classes = SegmentationClasses([0: "background", 1: "foreground"], background: 0)
  let warnings: [String]
  private let file: HDF5File
  private let entries: [Entry]
  private let concepts: [String: String]
  private static let name = "gtsegs_ijcv.mat"

  init(_ folder: DatasetFolder) throws {
    let file = try HDF5File(folder.file(Self.name), name: Self.name)
    self.file = file
    concepts = try Self.concepts(folder)
    let fields = try ["id", "target", "img", "gt"].map { try file.references("value", field: $0) }
    guard let count = fields.first?.count, fields.allSatisfy({ $0.count == count }) else {
      throw DatasetProblem(Self.name, "the fields of /value differ in length: \(fields.map(\.count))")
    }
    if count == 0 { throw DatasetProblem(Self.name, "there are no pictures") }
    var warnings: [String] = [], seen: Set<String> = [], entries: [Entry] = []
    for index in 0..<count {
      let id = (try? file.text(fields[0][index])) ?? "#\(index + 1)"
      guard seen.insert(id).inserted else {
        warnings.append("\(Self.name): '\(id)' occurs twice; it counts once")
        continue
      }
      let synset = (try? file.text(fields[1][index])) ?? ""
      entries.append(Entry(id: id, synset: synset, picture: fields[2][index], mask: fields[3][index]))
    }
    self.warnings = warnings
    self.entries = entries
  }

  var count: Int { entries.count }
  func id(_ index: Int) -> String { entries[index].id }

  func example(_ index: Int) throws -> SegmentationExample {
    let entry = entries[index]
    func fail(_ reason: String) -> DatasetProblem { DatasetProblem("\(Self.name), \(entry.id)", reason) }
    guard let concept = concepts[entry.synset] else {
      throw fail("the synset '\(entry.synset)' has no name in LOC_synset_mapping.txt")
    }
    let picture: Tensor, mask: Tensor
    do {
      picture = try file.integers(entry.picture)
      guard let first = try file.references(entry.mask).first else { throw DatasetProblem("", "there is no mask") }
      mask = try file.integers(first)
    } catch let problem as DatasetProblem { throw fail(problem.reason) }
    guard picture.rank == 3, picture.shape[0] == 3, picture.count > 0 else {
      throw fail("a picture of shape \(picture.shape), expected [3, width, height]")
    }
    guard mask.shape == Array(picture.shape[1...]) else {
      throw fail("a mask of shape \(mask.shape) for a picture of shape \(picture.shape)")
    }
    // MATLAB stores column by column.
    let labels = mask.permuted(1, 0).converted(to: .f32).floats.map { $0 > 0 ? Int16(1) : 0 }
    var example = SegmentationExample(
      id: entry.id, picture: picture.permuted(2, 1, 0).converted(to: .u8).contiguous(), labels: labels)
    example.aliases = [concept: 1]
    return example
  }

  /// Concepts by synset.
  private static func concepts(_ folder: DatasetFolder) throws -> [String: String] {
    struct Names: Decodable { let categories: [String: String] }
    let simple = try folder.json(Names.self, "imagenet_class_map.json").categories
    var concepts: [String: String] = [:]
    for line in lines(try folder.bytes("LOC_synset_mapping.txt")) {
      guard let blank = line.firstIndex(of: " ") else { continue }
      let first = line[blank...].dropFirst().prefix { $0 != "," }.trimmingCharacters(in: .whitespaces)
      concepts[String(line[..<blank])] = simple[first] ?? first
    }
    return concepts
  }
}
