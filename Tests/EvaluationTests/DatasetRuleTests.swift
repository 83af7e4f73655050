import Evaluation
import Foundation
import Tensor
import TestSupport
import Testing

/// Rules of the formats that the trees' scores do not tell apart.
@Suite struct DatasetRuleTests {
  @Test func compressedRunLengthsSayWhatPolygonsSay() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("coco")
    let polygons = try DatasetTrees.open("coco-object", tree)
    let file = "\(tree)/annotations/instances_val2017.json"
    try FileManager.default.removeItem(atPath: file)
    try FileManager.default.copyItem(atPath: "\(tree)/annotations/instances_val2017_rle.json", toPath: file)
    let runs = try DatasetTrees.open("coco-object", tree)
    #expect(runs.count == 12)
    for index in 0..<runs.count {
      let one = try runs.example(index).labels, other = try polygons.example(index).labels
      #expect(one == other, "\(runs.id(index))")
    }
  }

  /// Of one object that goes to and fro, or far away; a mistake of a file, and no reason to count for ever.
  @Test(arguments: [
    Array(repeating: [0, 0, 70, 50], count: 20_000).joined().map { $0 }, [0, 0, 1e5, 0, 1e5, 1e5],
    [0, 0, 999_999, 1, 5, 5],
  ])
  func polygonsWithoutEndAreRefused(_ polygon: [Double]) throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("coco"), split = "val"
    let file = "\(tree)/annotations/instances_\(split)2017.json"
    var content = try #require(
      JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file))) as? [String: Any])
    var annotations = try #require(content["annotations"] as? [[String: Any]])
    annotations[0]["segmentation"] = [polygon]
    content["annotations"] = annotations
    try JSONSerialization.data(withJSONObject: content).write(to: URL(fileURLWithPath: file))
    let dataset = try DatasetTrees.open("coco-object", tree)
    let problems = (0..<dataset.count).compactMap { index in
      do { _ = try dataset.example(index) } catch { return "\(error)" }
      return nil as String?
    }
    #expect(problems.count == 1 && problems[0].contains("polygon"))
  }

  /// HDF5 itself trusts a file in where its arrays lie, and reads beyond its own memory where the file is wrong.
  @Test func arraysThatAreNotWhereTheFileSaysAreRefused() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("imagenet-segmentation")
    let path = "\(tree)/gtsegs_ijcv.mat"
    let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    func number(_ place: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(whole[place + $1]) << UInt64($1 * 8) } }
    // Layouts of version 3: contiguous, where, how many bytes.
    let layouts = (0..<whole.count - 18).filter { place in
      guard whole[place] == 3, whole[place + 1] == 1 else { return false }
      let (address, bytes) = (number(place + 2), number(place + 10))
      return address < whole.count && bytes > 0 && bytes < whole.count
    }
    #expect(layouts.count > 3)
    var refused = 0
    for place in layouts {
      // Within the header, and nothing there; behind the end; fewer bytes than the array has.
      let changes: [[UInt8]] = [
        [3, 0, 0, 0], [3, 1, 255, 255, 255, 127], [3, 1] + Array(whole[(place + 2)..<(place + 10)]) + [1, 0, 0],
      ]
      for change in changes {
        var changed = whole
        changed.replaceSubrange(place..<place + change.count, with: change)
        try Data(changed).write(to: URL(fileURLWithPath: path))
        do {
          let dataset = try DatasetTrees.open("imagenet-segmentation", tree)
          for index in 0..<dataset.count { _ = try dataset.example(index) }
        } catch let problem as DatasetProblem {
          refused += 1
          #expect(!problem.reason.isEmpty)
        }
      }
    }
    #expect(refused > layouts.count)
  }

  @Test func whatIsNoFolderIsNamed() throws {
    let folder = try TemporaryFolder()
    try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/file"))
    for name in ["file", "nowhere"] {
      let problem = try #require(throws: DatasetProblem.self) {
        _ = try DatasetTrees.open("voc2012", "\(folder.path)/\(name)")
      }
      #expect("\(problem)".contains("\(folder.path)/\(name)"), "\(problem)")
    }
    let problem = try #require(throws: DatasetProblem.self) { _ = try DatasetTrees.open("voc2012", folder.path) }
    #expect("\(problem)".contains(folder.path), "which folder lacks it: \(problem)")
  }

  @Test func moreClassesThanAnyDataSetHasAreRefused() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("coco")
    let file = "\(tree)/annotations/instances_val2017.json"
    var content = try #require(
      JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file))) as? [String: Any])
    content["categories"] = (1...70_000).map { ["id": $0, "name": "n\($0)"] as [String: Any] }
    try JSONSerialization.data(withJSONObject: content).write(to: URL(fileURLWithPath: file))
    let problem = try #require(throws: DatasetProblem.self) { _ = try DatasetTrees.open("coco-object", tree) }
    #expect("\(problem)".contains("70000 classes"))
  }

  @Test func originalLabelsOfPascalContextSayWhatConvertedMasksSay() throws {
    let folder = "\(DatasetTrees.root)/pascal-context"
    let converted = try DatasetTrees.open("context60", folder), raw = try DatasetTrees.open("context60-mat", folder)
    #expect(raw.count == converted.count)
    for index in 0..<raw.count {
      let one = try raw.example(index).labels, other = try converted.example(index).labels
      #expect(one == other)
    }
  }

  @Test func bothFormsOfAManifestSayTheSame() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("folder")
    let table = try DatasetTrees.open("folder", tree)
    try FileManager.default.removeItem(atPath: "\(tree)/manifest.csv")
    let lines = try DatasetTrees.open("folder", tree)
    #expect(lines.classes == table.classes)
    #expect((0..<lines.count).map(lines.id) == (0..<table.count).map(table.id))
    for index in 0..<lines.count {
      let one = try lines.example(index).labels, other = try table.example(index).labels
      #expect(one == other)
    }
  }

  @Test func aLinkThatLeadsOutIsReadOnlyWhenAllowed() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("voc2012")
    let picture = "\(tree)/VOCdevkit/VOC2012/JPEGImages/2007_001071.jpg", outside = "\(folder.path)/elsewhere.jpg"
    try FileManager.default.moveItem(atPath: picture, toPath: outside)
    try FileManager.default.createSymbolicLink(atPath: picture, withDestinationPath: outside)
    let format = try #require(DatasetFormat.named("voc2012"))
    let strict = try format(tree), free = try format(tree, followsLinks: true)
    let index = try #require((0..<strict.count).first { strict.id($0) == "2007_001071" })
    let problem = try #require(throws: DatasetProblem.self) { try strict.example(index) }
    #expect(problem.path == "VOCdevkit/VOC2012/JPEGImages/2007_001071.jpg")
    #expect(problem.reason.contains("link"))
    let read = try free.example(index)
    #expect(read.id == "2007_001071")
  }

  @Test func framesOfAVideoFollowEachOtherAndAreOneClip() throws {
    let dataset = try DatasetTrees.open("vspw", "\(DatasetTrees.root)/vspw")
    let units = MapEvaluation(dataset).units
    #expect(units.map(\.count) == [4, 4, 4])
    let clip = try dataset.clip(units[0])
    #expect(clip.frames.shape.count == 4 && clip.frames.shape[0] == 4)
    #expect(clip.labels.count == clip.frames.count / 3)
  }

  @Test func testSplitsOfDAVISAreScoredOnTheirFirstFrames() throws {
    let folder = try TemporaryFolder(), tree = try folder.copy("davis2017")
    try Data(#"{"moon-test": {"1": "moon"}}"#.utf8).write(to: URL(fileURLWithPath: "\(tree)/davis_semantics.json"))
    let format = try #require(DatasetFormat.named("davis2017"))
    let dataset = try format(tree, split: "test-dev")
    #expect((0..<dataset.count).map(dataset.id) == ["moon-test/00000"])
  }

  @Test func voidPixelsOfUnsupervisedMasksAreLeftOut() throws {
    let dataset = try DatasetTrees.open("davis2017-unsupervised", "\(DatasetTrees.root)/davis2017")
    let examples = try (0..<dataset.count).map(dataset.example)
    #expect(examples.contains { $0.labels.contains(SegmentationExample.void) })
    #expect(examples.flatMap(\.warnings).isEmpty)
  }

  @Test func scenesAreADataSetToo() throws {
    let dataset = try DatasetTrees.open("scenes", EmbeddedScenes.path)
    let example = try dataset.example(0)
    #expect(dataset.count == 100)
    #expect(example.frames.shape == [1, 128, 128, 3])
    #expect(example.concepts?.isEmpty == false && example.prompt != nil && example.noiseSeed != nil)
    #expect(!example.present.isEmpty)
  }

  @Test(arguments: ["..", "a/b", ""]) func aSplitIsAName(_ split: String) throws {
    let format = try #require(DatasetFormat.named("voc2012"))
    #expect(throws: DatasetProblem.self) { _ = try format("\(DatasetTrees.root)/voc2012", split: split) }
  }

  @Test func aFolderThatIsNotThereIsNamed() throws {
    for format in DatasetFormat.all {
      let problem = try #require(throws: (any Error).self) { _ = try format("nowhere/at/all") }
      #expect("\(problem)".contains("nowhere/at/all"))
    }
  }
}
