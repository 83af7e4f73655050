import Tensor

/// Scenes with exact masks as one data set among others. What is in a scene has a class; the rest is void.
struct SceneDataset: SegmentationDataset {
  let classes: SegmentationClasses
  let scenes: SceneSet
  var warnings: [String] { [] }

  init(_ scenes: SceneSet) throws {
    self.scenes = scenes
    let names = Set(scenes.scenes.flatMap { $0.words.values }).union(scenes.scenes.flatMap(\.concepts))
    classes = SegmentationClasses(Dictionary(uniqueKeysWithValues: zip(0..., names.sorted(by: precedes))))
  }

  var count: Int { scenes.scenes.count }
  func id(_ index: Int) -> String { scenes.scenes[index].name }

  func example(_ index: Int) throws -> SegmentationExample {
    let scene = scenes.scenes[index], rows = classes.rows
    let labels = (0...255).map { number in
      scene.words[number].flatMap { rows[$0] }.map(Int16.init) ?? SegmentationExample.void
    }
    var example = SegmentationExample(
      id: scene.name, picture: scene.picture, labels: scene.labels.map { labels[Int($0)] })
    example.prompt = scene.prompt
    example.concepts = scene.concepts
    example.noiseSeed = scene.noiseSeed
    return example
  }
}
