import Tensor

/// Scenes with exact masks as one data set among others, a video's frames one by one. What is in a scene has a class; the
/// rest is void.
struct SceneDataset: SegmentationDataset {
  let classes: SegmentationClasses
  private let scenes: SceneSet
  private let places: [(scene: Int, frame: Int)]
  var warnings: [String] { [] }

  init(_ scenes: SceneSet) throws {
    self.scenes = scenes
    places = scenes.scenes.enumerated().flatMap { index, scene in (0..<scene.labels.count).map { (index, $0) } }
    let names = Set(scenes.scenes.flatMap { $0.words.values }).union(scenes.scenes.flatMap(\.concepts))
    try SegmentationClasses.check(names.count, "evaluation.json")
    classes = SegmentationClasses(Dictionary(uniqueKeysWithValues: zip(0..., names.sorted(by: precedes))))
  }

  var count: Int { places.count }

  func id(_ index: Int) -> String {
    sequence(index).map { "\($0)/\(places[index].frame)" } ?? scenes.scenes[places[index].scene].name
  }

  func sequence(_ index: Int) -> String? {
    let scene = scenes.scenes[places[index].scene]
    return scene.labels.count == 1 ? nil : scene.name
  }

  func example(_ index: Int) throws -> SegmentationExample {
    let scene = scenes.scenes[places[index].scene], frame = places[index].frame, rows = classes.rows
    let labels = (0...255).map { number in
      scene.words[number].flatMap { rows[$0] }.map(Int16.init) ?? SegmentationExample.void
    }
    var example = SegmentationExample(
      id: id(index), picture: scene.frames[frame], labels: scene.labels[frame].map { labels[Int($0)] })
    example.prompt = scene.prompt
    example.concepts = scene.concepts
    example.noiseSeed = scene.noiseSeed
    return example
  }
}
