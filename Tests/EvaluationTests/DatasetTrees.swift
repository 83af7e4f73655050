import Evaluation
import Foundation
import TestSupport
import Testing

/// Small trees with the structure of the real data sets, below `Tests/Fixtures/datasets` or the folder that
/// `DATASETS_ROOT` names.
enum DatasetTrees {
  static let root: String = {
    if let root = ProcessInfo.processInfo.environment["DATASETS_ROOT"], !root.isEmpty { return root }
    return Golden.fixtures.appendingPathComponent("datasets").path
  }()

  /// A tree with maps and the scores they have.
  struct Scored: Sendable, CustomTestStringConvertible {
    let format, tree, maps: String
    var testDescription: String { format }
    var folder: String { "\(root)/\(tree)" }
    var mapFolder: String { "\(folder)/\(maps)" }
  }

  static let scored = [
    Scored(format: "imagenet-segmentation", tree: "imagenet-segmentation", maps: "maps"),
    Scored(format: "voc2012", tree: "voc2012", maps: "maps"),
    Scored(format: "context60", tree: "pascal-context", maps: "maps-context60"),
    Scored(format: "context59", tree: "pascal-context", maps: "maps-context59"),
    Scored(format: "context60-mat", tree: "pascal-context", maps: "maps-context60"),
    Scored(format: "context59-mat", tree: "pascal-context", maps: "maps-context59"),
    Scored(format: "coco-stuff", tree: "coco", maps: "maps-coco-stuff"),
    Scored(format: "coco-object", tree: "coco", maps: "maps-coco-object"),
    Scored(format: "ade20k", tree: "ade20k", maps: "maps"),
    Scored(format: "cityscapes", tree: "cityscapes", maps: "maps"),
    Scored(format: "davis2017", tree: "davis2017", maps: "maps"),
    Scored(format: "vspw", tree: "vspw", maps: "maps"),
    Scored(format: "folder", tree: "folder", maps: "maps"),
  ]

  /// A faulty or unusual tree.
  struct Broken: Sendable, Decodable, CustomTestStringConvertible {
    let `case`, format, outcome: String
    let usable: Int
    let must_name: [String]
    var testDescription: String { `case` }
    /// The files of another name than the format are those that are read as they come from MATLAB.
    var formatName: String { format.hasSuffix(".mat") ? "context60-mat" : format }
    var folder: String { "\(root)/broken/\(`case`)" }
  }

  static let broken: [Broken] = {
    struct File: Decodable { let cases: [Broken] }
    let data = FileManager.default.contents(atPath: "\(root)/broken/expected.json") ?? Data()
    return (try? JSONDecoder().decode(File.self, from: data))?.cases ?? []
  }()

  static func open(_ format: String, _ folder: String) throws -> any SegmentationDataset {
    let format = try #require(DatasetFormat.named(format))
    return try format(folder)
  }
}

/// A folder that goes when it is let go.
final class TemporaryFolder {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("evaluation-\(UUID().uuidString)").path

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// - Returns: the path of a copy of a tree
  func copy(_ tree: String) throws -> String {
    let copy = "\(path)/\(tree.replacing("/", with: "-"))"
    try FileManager.default.copyItem(atPath: "\(DatasetTrees.root)/\(tree)", toPath: copy)
    return copy
  }
}
