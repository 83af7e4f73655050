/// The data sets that can be read, by name. A further one is a file of its own and a line here.
public struct DatasetFormat: Sendable {
  public let name: String
  public let summary: String
  private let open: @Sendable (DatasetFolder, String) throws -> any SegmentationDataset

  /// Opens a data set.
  ///
  /// - Parameters:
  ///   - root: the folder that holds what the data set's archives unpack to
  ///   - split: `val`, `train` …
  ///   - followsLinks: whether links may lead out of the folder
  /// - Throws: `DatasetProblem` when there is nothing to score
  public func callAsFunction(
    _ root: String, split: String = "val", followsLinks: Bool = false
  ) throws -> any SegmentationDataset {
    guard !split.isEmpty, !split.contains("/"), split != ".." else {
      throw DatasetProblem(split, "not the name of a split, such as val")
    }
    return try open(DatasetFolder(root, followsLinks: followsLinks), split)
  }

  public static func named(_ name: String) -> DatasetFormat? { all.first { $0.name == name } }

  public static let all: [DatasetFormat] = [
    DatasetFormat(name: "imagenet-segmentation", summary: "gtsegs_ijcv.mat and the names of its synsets") { folder, _ in
      try ImageNetSegmentation(folder)
    },
    DatasetFormat(name: "voc2012", summary: "PASCAL VOC 2012, 20 classes and background") {
      try PascalVOC.open($0, split: $1)
    },
    DatasetFormat(name: "context60", summary: "PASCAL Context, 59 classes and background, converted masks") {
      try PascalContext.open($0, split: $1, hasBackground: true, isRaw: false)
    },
    DatasetFormat(name: "context59", summary: "the same without background, which is left out") {
      try PascalContext.open($0, split: $1, hasBackground: false, isRaw: false)
    },
    DatasetFormat(name: "context60-mat", summary: "PASCAL Context from the original .mat files of 459 labels") {
      try PascalContext.open($0, split: $1, hasBackground: true, isRaw: true)
    },
    DatasetFormat(name: "context59-mat", summary: "the same without background") {
      try PascalContext.open($0, split: $1, hasBackground: false, isRaw: true)
    },
    DatasetFormat(name: "coco-stuff", summary: "COCO-Stuff 164k, 171 classes") { try COCOStuff.open($0, split: $1) },
    DatasetFormat(name: "coco-object", summary: "COCO's 80 things and background, from the instances' JSON") {
      try COCOObject($0, split: $1)
    },
    DatasetFormat(name: "ade20k", summary: "ADE20K's scene parsing, 150 classes") { try ADE20K.open($0, split: $1) },
    DatasetFormat(name: "cityscapes", summary: "Cityscapes, 19 classes") { try Cityscapes.open($0, split: $1) },
    DatasetFormat(name: "davis2017", summary: "DAVIS 2017, objects of videos by name") {
      try DAVIS2017.open($0, split: $1)
    },
    DatasetFormat(name: "davis2017-unsupervised", summary: "the same with Annotations_unsupervised") {
      try DAVIS2017.open($0, split: $1, annotations: "Annotations_unsupervised")
    },
    DatasetFormat(name: "vspw", summary: "VSPW, 124 classes in videos") { try VSPW.open($0, split: $1) },
    DatasetFormat(name: "folder", summary: "a folder of one's own with manifest.csv or manifest.jsonl") { folder, _ in
      try ManifestFolder(folder)
    },
    DatasetFormat(name: "scenes", summary: "scenes drawn for the embedded models: manifest.json, evaluation.json") {
      folder, _ in try SceneDataset(SceneSet(folder: folder.root))
    },
  ]
}
