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

  @Test func theEmbeddedMasksHaveThePixelsTheirManifestCounts() throws {
    struct Manifest: Decodable {
      struct Scene: Decodable { let pixels: [String: Int] }
      let scenes: [Scene]
    }
    let folder = try EmbeddedModel.tinyFlux.scenes, set = try SceneSet(folder: folder)
    let manifest = try JSONDecoder().decode(
      Manifest.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/manifest.json")))
    #expect(set.scenes.count == 100)
    for (scene, counted) in zip(set.scenes, manifest.scenes) {
      var pixels: [String: Int] = [:]
      for label in scene.labels { pixels[scene.words[Int(label)] ?? "nothing", default: 0] += 1 }
      #expect(pixels == counted.pixels, "\(scene.name)")
    }
  }

  @Test func aGreyMaskIsReadAsNumbers() throws {
    let set = try scenes()
    #expect(set.scenes[0].labels == [0, 1, 2, 2])
    #expect(set.scenes[0].words == [0: "sky", 2: "star"])
    #expect(set.scenes[0].picture.shape == [2, 2, 3])
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
