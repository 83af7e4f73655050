import ConceptAttention
import EmbeddedModels
import Evaluation
import Formats
import Foundation
import Models
import Tensor
import Testing

/// A folder of scenes as it should be, and with one thing wrong at a time.
@Suite struct SceneSetTests {
  private static let manifest =
    #"{"label_names": ["sky", "sand", "star"], "object_names": ["star"], "scenes": "#
    + #"[{"image": "a.png", "mask": "m.png", "words": {"0": "sky", "2": "star"}}]}"#
  private static let evaluation =
    #"{"noise_levels": [0.5], "noise_shape": [1, 1, 64], "max_sequence_length": 16, "scenes": "#
    + #"[{"image": "a.png", "prompt": "a star", "concepts": ["sky", "star"], "noise_seed": 7}]}"#

  @Test(arguments: [(EmbeddedModel.tinyFlux, 100), (.tinySD3, 50)])
  func theEmbeddedMasksHaveThePixelsTheirManifestCounts(model: EmbeddedModel, count: Int) throws {
    let set = try SceneSet(folder: model.scenes)
    let counted: [[String: Int]] = try pixels(of: model)
    #expect(set.scenes.count == count)
    #expect(set.scenes.map { counts($0.labels[0], $0) } == counted)
  }

  @Test func theEmbeddedMasksOfVideosHaveThePixelsTheirManifestCounts() throws {
    let set = try SceneSet(folder: EmbeddedModel.tinyCogVideoX.scenes)
    let counted: [[String: [Int]]] = try pixels(of: .tinyCogVideoX)
    #expect(set.scenes.count == 12)
    for (scene, counted) in zip(set.scenes, counted) {
      let found = scene.labels.map { counts($0, scene) }
      #expect(found.count == 17)
      for (word, numbers) in counted { #expect(found.map { $0[word] ?? 0 } == numbers, "\(scene.name) \(word)") }
    }
  }

  private func counts(_ labels: [UInt8], _ scene: SceneSet.Scene) -> [String: Int] {
    labels.reduce(into: [:]) { $0[scene.words[Int($1)] ?? "nothing", default: 0] += 1 }
  }

  /// What `manifest.json` says.
  private func pixels<Pixels: Decodable>(of model: EmbeddedModel) throws -> [Pixels] {
    let file = URL(fileURLWithPath: try model.scenes).appendingPathComponent("manifest.json")
    return try JSONDecoder().decode(Manifest<Pixels>.self, from: Data(contentsOf: file)).scenes.map(\.pixels)
  }

  @Test func aGreyMaskIsReadAsNumbers() throws {
    let set = try scenes()
    #expect(set.scenes[0].labels == [[0, 1, 2, 2]])
    #expect(set.scenes[0].words == [0: "sky", 2: "star"])
    #expect(set.scenes[0].frames.shape == [1, 2, 2, 3])
    #expect(set.objectNames == ["star"])
  }

  @Test(arguments: [
    (#""noise_levels": [0.5]"#, #""noise_levels": [1.5]"#, "noise_levels [1.5]"),
    (#""noise_levels": [0.5]"#, #""noise_levels": []"#, "noise_levels []"),
    (#""noise_levels""#, #""levels""#, "noise_levels"),
    ("[1, 1, 64]", "[2, 64]", "noise_shape [2, 64]"),
    (#"["sky", "star"]"#, "[]", "a.png: expected concepts"),
    (#"["sky", "star"]"#, #"["sky", "sky"]"#, "each once"),
    (#""image": "a.png""#, #""image": "b.png""#, "'b.png' is not in manifest.json"),
  ])
  func aWrongEvaluationFileIsNamedWithWhatIsWrong(old: String, new: String, message: String) throws {
    try expectError(message, "evaluation.json") {
      try scenes(evaluation: Self.evaluation.replacingOccurrences(of: old, with: new))
    }
  }

  @Test func aWordThatIsNotItsLabelIsAnError() throws {
    try expectError("'star' is not label 7", "manifest.json") {
      try scenes(manifest: Self.manifest.replacingOccurrences(of: #""2""#, with: #""7""#))
    }
  }

  @Test func aMaskMustFitItsPictureAndItsLabels() throws {
    try expectError("found label 3", "m.png") {
      try scenes(mask: Tensor(scalars: [0, 1, 2, 3] as [UInt8], shape: [2, 2]))
    }
    try expectError("1 × 4 for a picture of 2 × 2", "m.png") {
      try scenes(mask: Tensor(scalars: [0, 1, 2, 2] as [UInt8], shape: [4, 1]))
    }
    try expectError("8 bits of grey", "m.png") { try scenes(mask: Tensor(zeros: [2, 2, 3], dtype: .u8)) }
  }

  @Test func aVideoIsTwoFoldersOfFramesInTheOrderOfTheirNumbers() throws {
    let clip = try Clip(frames: ["2": 2, "10": 10, "1": 1], masks: ["2": 1, "10": 2, "1": 0])
    let scene = try clip.read { try SceneSet(folder: $0) }.scenes[0]
    #expect(scene.name == "clip")
    #expect(scene.frames.shape == [3, 2, 2, 3])
    #expect((0..<3).map { scene.frames[$0, 0, 0, 0].item } == [1, 2, 10])
    #expect(scene.labels == [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2]])
  }

  @Test func theFramesOfAVideoArePicturesOfOneSequenceOfTheDataSet() throws {
    let clip = try Clip(frames: ["0": 5, "1": 7], masks: ["0": 0, "1": 2])
    let dataset = try clip.read { try DatasetTrees.open("scenes", $0) }
    #expect(dataset.count == 2)
    #expect((0..<2).map { dataset.id($0) } == ["clip/0", "clip/1"])
    #expect((0..<2).map { dataset.sequence($0) } == ["clip", "clip"])
    let whole = try dataset.clip(0..<2)
    #expect(whole.frames.select(3, 0).flattened().scalars(as: UInt8.self) == [5, 5, 5, 5, 7, 7, 7, 7])
    #expect(whole.labels == [0, 0, 0, 0, 1, 1, 1, 1])
  }

  @Test func framesAndMasksMustFitEachOther() throws {
    func fails(_ message: String, _ clip: Clip) {
      let error = #expect(throws: SceneSetError.self) { try clip.read { try SceneSet(folder: $0) } }
      #expect(error?.description.contains(message) == true, "\(message): \(String(describing: error))")
    }
    fails("masks: 1 masks for 2 frames", try Clip(frames: ["0": 0, "1": 0], masks: ["0": 0]))
    fails("clip: 0 PNG files, expected 1 to 1024", try Clip(frames: [:], masks: ["0": 0]))
    fails(
      "masks/1.png: not a mask of labels: found label 3", try Clip(frames: ["0": 0, "1": 0], masks: ["0": 0, "1": 3]))
    let uneven = try Clip(frames: ["0": 0], masks: ["0": 0, "1": 0])
    try PNG.write(Tensor(zeros: [2, 3, 3], dtype: .u8), to: "\(uneven.path)/clip/1.png")
    fails("1.png: 3 × 2 in a video of 2 × 2", uneven)
    let gone = try Clip(frames: ["0": 0], masks: ["0": 0])
    try FileManager.default.removeItem(atPath: "\(gone.path)/masks")
    fails("masks: no such file", gone)
  }

  @Test func aMissingFileIsAnError() throws {
    try expectError("no such file", "manifest.json") { _ = try SceneSet(folder: "nowhere") }
    try expectError("unreadable picture", "m.png") { try scenes(mask: nil) }
  }

  private func expectError(_ message: String, _ file: String, _ body: () throws -> Void) throws {
    let error = try #require(throws: SceneSetError.self, performing: body)
    #expect("\(error)".contains(message))
    #expect(error.path.hasSuffix(file))
  }

  @discardableResult
  private func scenes(
    manifest: String = manifest, evaluation: String = evaluation,
    mask: Tensor? = Tensor(scalars: [0, 1, 2, 2] as [UInt8], shape: [2, 2])
  ) throws -> SceneSet {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("scenes-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data(manifest.utf8).write(to: folder.appendingPathComponent("manifest.json"))
    try Data(evaluation.utf8).write(to: folder.appendingPathComponent("evaluation.json"))
    try PNG.write(Tensor(zeros: [2, 2, 3], dtype: .u8), to: folder.appendingPathComponent("a.png").path)
    if let mask { try PNG.write(mask, to: folder.appendingPathComponent("m.png").path) }
    return try SceneSet(folder: folder.path)
  }
}

/// A folder of one scene: a video of 2 × 2 pixels, each frame and each mask of one value.
private struct Clip {
  private let folder: TemporaryFolder
  var path: String { folder.path }

  init(frames: [String: UInt8], masks: [String: UInt8]) throws {
    folder = try TemporaryFolder()
    for name in ["clip", "masks"] {
      try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: false)
    }
    for (name, value) in frames {
      try PNG.write(Tensor(full: [2, 2, 3], Float(value), dtype: .u8), to: "\(path)/clip/\(name).png")
    }
    for (name, value) in masks {
      try PNG.write(Tensor(full: [2, 2], Float(value), dtype: .u8), to: "\(path)/masks/\(name).png")
    }
    let manifest =
      #"{"label_names": ["sky", "sand", "star"], "object_names": ["star"], "scenes": "#
      + #"[{"frames": "clip", "masks": "masks", "words": {"0": "sky", "2": "star"}}]}"#
    let evaluation =
      #"{"noise_levels": [0.5], "max_sequence_length": 16, "scenes": "#
      + #"[{"frames": "clip", "prompt": "a star", "concepts": ["sky", "star"], "noise_seed": 7}]}"#
    try Data(manifest.utf8).write(to: URL(fileURLWithPath: "\(path)/manifest.json"))
    try Data(evaluation.utf8).write(to: URL(fileURLWithPath: "\(path)/evaluation.json"))
  }

  func read<Value>(_ body: (String) throws -> Value) rethrows -> Value {
    try withExtendedLifetime(folder) { try body(path) }
  }
}

private struct Manifest<Pixels: Decodable>: Decodable {
  struct Scene: Decodable { let pixels: Pixels }
  let scenes: [Scene]
}
