import ConceptAttention
import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

final class FadingAttention: AttentionProcessor {
  let pattern: SitePattern
  private(set) var norms: [Float] = []

  init(_ pattern: SitePattern) { self.pattern = pattern }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    norms = []
    hooks.rewrite(pattern) { output, site, pass in  // [batch, heads, tokens, headDim]
      output * (1 - Float(pass.step + 1) / Float(pass.steps))
    }
    hooks.read(pattern) { output, site, pass in
      self.norms.append(output.squared().sum().squareRoot().item)
    }
  }
}

func fadedPicture(_ prompt: String, concepts names: [String], to path: String) throws -> SaliencyMaps {
  let pipeline = try openPipeline("tiny-flux")
  let fading = FadingAttention("double.2.image.attentionOutput")
  let concepts = try pipeline.conceptAttention(names)

  var request = GenerationRequest(prompt)
  request.steps = 4
  let result = try pipeline.generate(request, processors: [fading, concepts]) { step in
    print("step \(step.done) of \(step.total)")
  }
  try PNG.write(result.image(), to: path)
  return try concepts.maps()
}

/// The article "Your first processor", compiled and run.
@Suite struct WalkthroughTests {
  @Test func itsCodeGivesAPictureAndMaps() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("faded-\(UUID()).png").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let maps = try fadedPicture("a star above a house", concepts: ["star", "house", "sky"], to: path)
    #expect(maps.concepts == ["star", "house", "sky"] && maps.grid == TokenGrid(height: 16, width: 16))
    let picture = try Image.read(path: path)
    #expect(picture.shape == [128, 128, 3] && picture.amax().item > picture.amin().item)
  }

  @Test func theArticleShowsTheCodeThatIsTested() throws {
    let blocks = try Article.blocks(
      "swift", of: "Sources/ConceptAttention/ConceptAttention.docc/YourFirstProcessor.md")
    let source = try Article.source("Tests/ConceptAttentionTests/WalkthroughTests.swift")
    #expect(blocks.count == 2)
    for block in blocks { #expect(source.contains(block), "the article's code differs from the test's") }
  }
}
