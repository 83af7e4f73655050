// The readers of what is measured on: scenes, data sets in folders, maps, protocols, and results that a run goes on with.

import Evaluation
import Formats
import Foundation
import Models
import Tensor

extension Target {
  static func scenes(_ corpus: String) throws -> [Target] {
    func valid(_ target: String) throws -> MappedFile {
      MappedFile(contents: try files("\(corpus)/\(target)")[0].bytes, name: target)
    }
    let manifest = try valid("manifest"), evaluation = try valid("evaluation")
    return [
      Target(name: "manifest") { file in try SceneSet.check(manifest: file, evaluation: evaluation) },
      Target(name: "evaluation") { file in try SceneSet.check(manifest: manifest, evaluation: file) },
    ]
  }

  static var settings: [Target] {
    [
      Target(name: "protocol") { file in _ = try EvaluationProtocol(file).json },
      Target(name: "class-names") { file in _ = try ClassNames(file).concept(of: "a") },
    ]
  }

  /// One file of a folder is changed; all of its pictures are opened and scored against maps.
  ///
  /// - Parameter fixtures: folders of data sets, as tests have them
  static func datasets(_ fixtures: String, _ work: WorkFolder) throws -> [Target] {
    let trees: [(name: String, format: String, tree: String, file: String)] = [
      ("hdf5", "imagenet-segmentation", "imagenet-segmentation/mask-value", "gtsegs_ijcv.mat"),
      ("synsets", "imagenet-segmentation", "imagenet-segmentation/mask-value", "LOC_synset_mapping.txt"),
      ("label-mat", "context60-mat", "pascal-context/unknown-class-mat", "trainval/2008_000513.mat"),
      ("label-list", "context60-mat", "pascal-context/unknown-class-mat", "labels.txt"),
      ("coco", "coco-object", "coco/listed-twice", "annotations/instances_val2017.json"),
      ("coco-labels", "coco-stuff", "coco/listed-twice", "labels.txt"),
      ("manifest-csv", "folder", "folder/listed-twice", "manifest.csv"),
      ("davis-semantics", "davis2017", "davis2017/unknown-class", "davis_semantics.json"),
      ("vspw-labels", "vspw", "vspw/path-outside", "label_num_dic_final.json"),
      ("voc-list", "voc2012", "voc2012/listed-twice", "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"),
      ("label-png", "voc2012", "voc2012/listed-twice", ""),
    ]
    return try trees.map { name, format, tree, file in
      let source = "\(fixtures)/broken/\(tree)"
      let target = try work.copy(of: source, name, file.isEmpty ? firstMask(source) : file)
      guard let dataset = DatasetFormat.named(format) else { throw Usage(reason: "no format \(format)") }
      return Target(name: name) { input in
        try target.put(input)
        let opened = try dataset(target.folder)
        for index in 0..<min(opened.count, 8) { touch(try? opened.example(index)) }
      }
    }
  }

  private static func firstMask(_ tree: String) throws -> String {
    let masks = "VOCdevkit/VOC2012/SegmentationClass"
    guard let first = try FileManager.default.contentsOfDirectory(atPath: "\(tree)/\(masks)").min() else {
      throw Usage(reason: "no mask in \(tree)")
    }
    return "\(masks)/\(first)"
  }

  /// Maps and results of earlier runs, of the pictures of one data set.
  static func results(_ fixtures: String, _ work: WorkFolder) throws -> [Target] {
    guard let format = DatasetFormat.named("voc2012") else { throw Usage(reason: "no format voc2012") }
    let dataset = try format("\(fixtures)/voc2012"), evaluation = MapEvaluation(dataset)
    let ids = evaluation.units.map { $0.map(dataset.id) }
    let maps = try work.place("maps", "0.npz"), outcomes = try work.place("outcomes", "pictures.jsonl")
    return [
      Target(name: "maps") { file in
        try maps.put(file)
        let folder = try MapFolder(maps.folder)
        for id in folder.ids { bytesRead += try folder.maps(id).values.count }
        var isFirst = true
        try evaluation.score(folder) { _, found in
          if isFirst { bytesRead += found.count }
          isFirst = false
        }
      },
      Target(name: "outcomes") { file in
        try outcomes.put(file)
        let classes = dataset.classes
        var state = EvaluationState(classes)
        let folder = OutcomeFolder<OutcomeLine>(outcomes.folder, settings: "s", units: ids) {
          $0.isSound(classes: classes.count)
        }
        let done = try folder.takeOver { unit, line in state.add(line.outcome(ids[unit][0]), unit: unit) }
        bytesRead += done.count + "\(state.metrics)".utf8.count
      },
    ]
  }

  private static func touch(_ example: SegmentationExample?) {
    guard let example else { return }
    bytesRead += example.frames.bytes.count + example.present.count + example.labels.count
  }
}
