import ConceptAttention
import EmbeddedModels
import Formats
import Foundation
import Models
import Tensor
import TestSupport
import Testing

/// The code that the README shows first.
@Suite struct ReadmeTests {
  @Test func fourLinesMakeAPictureAndItsMaps() throws {
    let shape = try fourLines()
    #expect(shape == [1, 3, 1, 16, 16])
    let picture = FileManager.default.temporaryDirectory.appendingPathComponent("boat.png").path
    #expect(try Image.read(path: picture).shape == [128, 128, 3])
    let block = try #require(Article.blocks("swift", of: "README.md").first)
    let source = try Article.source("Tests/ConceptAttentionTests/ReadmeTests.swift")
    // The file goes elsewhere here.
    let lines = block.split(separator: "\n").map {
      $0.components(separatedBy: "  //")[0].trimmingCharacters(in: .whitespaces)
    }
    for line in lines.dropLast() {
      #expect(source.contains(line), "\(line)")
    }
    #expect(block.contains("try PNG.write(result.image(), to:") && block.contains("[1, 3, 1, 16, 16]"))
  }

  private func fourLines() throws -> [Int] {
    let folder = FileManager.default.temporaryDirectory.path
    let pipeline = try openPipeline("tiny-flux")
    let maps = try pipeline.conceptAttention(["boat", "sea", "sky"])
    let result = try pipeline.generate(GenerationRequest("a boat on the sea"), processors: [maps])
    try PNG.write(result.image(), to: "\(folder)/boat.png")
    return try maps.maps().average.shape
  }
}
