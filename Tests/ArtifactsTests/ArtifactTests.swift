import Artifacts
import ConceptAttention
import Formats
import Foundation
import NN
import Tensor
import TestSupport
import Testing

/// The folder that a run leaves.
@Suite struct ArtifactTests {
  private struct Settings: Encodable {
    var prompt = "a star"
    var steps = 4
  }

  private struct Unencodable: Encodable {
    struct Refusal: Error {}
    func encode(to encoder: any Encoder) throws { throw Refusal() }
  }

  private func maps(_ concepts: [String]) -> SaliencyMaps {
    let count = concepts.count * 30
    let values = (0..<count).map { Float(($0 * 37) % 101) / 7 - 3 }
    let tensor = Tensor(values, shape: [1, concepts.count, 1, 5, 6])
    var maps = SaliencyMaps(concepts: concepts, grid: TokenGrid(height: 5, width: 6), average: tensor)
    maps.byLayer = [0: tensor * 2, 11: tensor]
    maps.byStep = [3: tensor + 1]
    return maps
  }

  private let image = Tensor(scalars: (0..<40 * 48 * 3).map { UInt8($0 % 251) }, shape: [40, 48, 3])

  private func contents(_ folder: String) throws -> [String: Data] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    return try Dictionary(
      uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)"))) })
  }

  @Test func aRunLeavesTheseFilesAndNoOthers() throws {
    try withFolder { folder in
      let writer = try ArtifactWriter(folder: folder + "/made/for/it")
      let concepts = ["red star", "red/star", "../RED star", "星", "sky_1"]
      let paths = try writer.write(Footage(image), maps: maps(concepts), title: "stars", metadata: Settings())
      let stems = ["red-star", "red-star-2", "RED-star-3", "concept", "sky_1"]
      let expected =
        ["image.png"] + stems.flatMap { ["heatmap-\($0).png", "overlay-\($0).png"] }
        + ["contact-sheet.png", "maps.safetensors", "maps.npz", "metadata.json", "report.html"]
      #expect(paths == expected.map { folder + "/made/for/it/" + $0 })
      #expect(try Set(contents(folder + "/made/for/it").keys) == Set(expected))
      #expect(try Image.read(path: paths[0]).isIdentical(to: image))
      for path in paths[1...10] { #expect(try Image.read(path: path).shape == [40, 48, 3]) }
    }
  }

  @Test func mapsAreKeptAsTheyAreBeforeColour() throws {
    try withFolder { folder in
      let maps = maps(["a", "b"])
      _ = try ArtifactWriter(folder: folder).write(Footage(image), maps: maps, title: "", metadata: Settings())
      let safetensors = try SafetensorsFile(path: folder + "/maps.safetensors")
      let npz = try NpzFile(path: folder + "/maps.npz")
      let expected = [
        "average": maps.average, "layer.0": maps.average * 2, "layer.11": maps.average, "step.3": maps.average + 1,
      ]
      #expect(Set(safetensors.names) == Set(expected.keys))
      #expect(safetensors.metadata["concepts"] == #"["a","b"]"#)
      for (name, tensor) in expected {
        #expect(try safetensors.tensor(name).isIdentical(to: tensor.reshaped(2, 5, 6)))
        #expect(try npz.tensor(name).isIdentical(to: tensor.reshaped(2, 5, 6)))
      }
    }
  }

  @Test func metadataNameTheRunItsConceptsAndItsFiles() throws {
    try withFolder { folder in
      let maps = maps(["a", "b"])
      let paths = try ArtifactWriter(folder: folder, scaling: .shared)
        .write(Footage(image), maps: maps, title: "t", metadata: Settings())
      let data = try #require(contents(folder)["metadata.json"])
      let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
      #expect((json["run"] as? [String: Any])?["prompt"] as? String == "a star")
      #expect(json["files"] as? [String] == paths.map { String($0.dropFirst(folder.count + 1)) })
      let concepts = try #require(json["concepts"] as? [[String: Any]])
      #expect(concepts.compactMap { $0["name"] as? String } == ["a", "b"])
      let lowest = try #require(maps.average.floats.min())
      for concept in concepts { #expect((concept["minimum"] as? Double).map(Float.init) == lowest) }
    }
  }

  @Test func theReportNeedsNothingElseAndHoldsTextAsText() throws {
    try withFolder { folder in
      let concepts = ["</script><script>alert(1)</script>", "b & \"c\""]
      let writer = try ArtifactWriter(folder: folder)
      _ = try writer.write(Footage(image), maps: maps(concepts), title: "<script>x</script>", metadata: Settings())
      let page = try String(decoding: #require(contents(folder)["report.html"]), as: UTF8.self)
      for outside in ["http:", "https:", "src=\"", "href=", "url(", "@import"] { #expect(!page.contains(outside)) }
      #expect(page.components(separatedBy: "<script").count == 3)
      #expect(page.components(separatedBy: "</script").count == 3)
      #expect(page.contains("<title>&lt;script&gt;x&lt;/script&gt;</title>"))

      let data = try reportData(folder)
      let metadata = try #require(data["metadata"] as? [String: Any])
      #expect((metadata["concepts"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == concepts)
      let file = try valuesFile(data, in: folder)
      #expect(Set(file.names) == ["average", "layer.0", "layer.11", "step.3"])
      #expect(try file.tensor("average").floats == maps(concepts).average.floats)
    }
  }

  @Test func theReportCanNeitherFetchNorSend() throws {
    try withFolder { folder in
      _ = try ArtifactWriter(folder: folder).write(Footage(image), maps: maps(["a"]), title: "", metadata: Settings())
      let page = try String(decoding: #require(contents(folder)["report.html"]), as: UTF8.self)
      let policy = try #require(page.range(of: "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"))
      for script in page.ranges(of: "<script") { #expect(policy.upperBound < script.lowerBound) }
    }
  }

  /// What the page of a run has inside.
  private func reportData(_ folder: String) throws -> [String: Any] {
    let page = try String(decoding: #require(contents(folder)["report.html"]), as: UTF8.self)
    let rest = try #require(page.range(of: "<script type=\"application/json\" id=\"data\">")).upperBound
    let text = page[rest...].prefix { $0 != "<" }
    return try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func valuesFile(_ data: [String: Any], in folder: String) throws -> SafetensorsFile {
    let bytes = try #require((data["maps"] as? String).flatMap { Data(base64Encoded: $0) })
    try bytes.write(to: URL(fileURLWithPath: folder + "/inside.safetensors"))
    return try SafetensorsFile(path: folder + "/inside.safetensors")
  }

  @Test func aFolderThatCannotBeMadeIsNamed() throws {
    try withFolder { folder in
      _ = try ArtifactWriter(folder: folder)
      let file = folder + "/file"
      try Data("x".utf8).write(to: URL(fileURLWithPath: file))
      for path in [file, file + "/below"] {
        let error = #expect(throws: ArtifactError.self) { try ArtifactWriter(folder: path) }
        #expect(error?.description.contains(path) == true)
      }
    }
  }

  @Test func aFailedWriteLeavesOldFilesWholeAndNoParts() throws {
    try withFolder { folder in
      let writer = try ArtifactWriter(folder: folder)
      _ = try writer.write(Footage(image), maps: maps(["a"]), title: "old", metadata: Settings())
      let before = try contents(folder)
      #expect(throws: Unencodable.Refusal.self) {
        try writer.write(Footage(image), maps: maps(["b"]), title: "new", metadata: Unencodable())
      }
      #expect(throws: ArtifactError.notAPicture("f32 [2, 2, 3]")) {
        try writer.write(Footage(Tensor(zeros: [2, 2, 3])), maps: maps(["b"]), title: "new", metadata: Settings())
      }
      #expect(try contents(folder) == before)

      try FileManager.default.removeItem(atPath: folder + "/image.png")
      try FileManager.default.createDirectory(atPath: folder + "/image.png", withIntermediateDirectories: false)
      #expect(throws: FileError.self) {
        try writer.write(Footage(image), maps: maps(["a"]), title: "new", metadata: Settings())
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(Set(names) == Set(before.keys))
    }
  }

  @Test func aMapWithoutNumbersDoesNoHarm() throws {
    try withFolder { folder in
      var maps = maps(["a"])
      maps.average = Tensor(full: [1, 1, 1, 5, 6], .nan)
      _ = try ArtifactWriter(folder: folder).write(Footage(image), maps: maps, title: "", metadata: Settings())
      let values = try valuesFile(reportData(folder), in: folder).tensor("average").floats
      #expect(values.count == 30 && values.allSatisfy(\.isNaN))
    }
  }
}
