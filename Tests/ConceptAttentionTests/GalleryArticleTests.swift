import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

func lensPictures(_ prompt: String) throws -> [BlockID: Tensor] {
  let pipeline = try openPipeline("tiny-flux"), lens = OutputLens(after: ["double"])
  var request = GenerationRequest(prompt)
  request.steps = 4
  let plan = try pipeline.plan(request)
  _ = try pipeline.generate(plan, processors: [lens])
  var pictures: [BlockID: Tensor] = [:]  // [3, height, width] in 0 … 1
  for entry in lens.entries where entry.step == 0 {
    pictures[entry.block] = entry.clean.map { pipeline.frames(ofLatents: $0, plan)[0, 0] }
  }
  return pictures
}

final class Louder: AttentionProcessor {
  let tokens: [Int]
  let factor: Float

  init(_ tokens: [Int], by factor: Float) {
    self.tokens = tokens
    self.factor = factor
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.attend("*") { call, pass, next in
      var call = call
      call.amplify(self.tokens, of: .text, for: .image, by: self.factor)
      return next(call)
    }
  }
}

final class Away: AttentionProcessor {
  let prompt: EncodedPrompts
  let scale: Float

  init(from prompt: EncodedPrompts, scale: Float) {
    self.prompt = prompt
    self.scale = scale
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.guide(with: ExtraBranch("away", text: prompt.states, pooled: prompt.pooled)) { guided, outputs, pass in
      guard let plain = outputs[.conditional], let away = outputs["away"] else { return guided }
      return away + (plain - away) * self.scale
    }
  }
}

/// The article "A gallery of methods", compiled and run.
@Suite struct GalleryArticleTests {
  @Test func theLensShowsAPictureAfterEveryBlock() throws {
    let pictures = try lensPictures("a boat on the sea")
    #expect(pictures.keys.map(\.family).allSatisfy { $0 == "double" } && pictures.count > 1)
    for picture in pictures.values { #expect(picture.shape == [3, 128, 128] && picture.isAllFinite) }
  }

  @Test func aLouderWordIsLookedAtMoreAndFactorOneChangesNothing() throws {
    let pipeline = try openPipeline("tiny-flux"), prompt = "a boat on the sea"
    let tokens = try pipeline.tokens(of: "boat", in: prompt, maxSequenceLength: nil).flatMap { Array($0) }
    var request = GenerationRequest(prompt)
    (request.steps, request.width, request.height) = (1, 64, 64)
    func weight(_ processors: [any AttentionProcessor]) throws -> Float {
      let maps = RawCrossAttention(concepts: [("boat", tokens)])
      _ = try pipeline.generate(request, processors: processors + [maps])
      return try maps.maps().average.mean().item
    }
    let plain = try weight([]), louder = try weight([Louder(tokens, by: 4)])
    let same = try weight([Louder(tokens, by: 1)])
    #expect(louder > 1.5 * plain && abs(same - plain) < 1e-6)
  }

  @Test func leadingAwayFromTheEmptyPromptIsGuidance() throws {
    let pipeline = try openPipeline("tiny-flux")
    var request = GenerationRequest("a boat on the sea")
    (request.steps, request.width, request.height, request.trueCFG) = (2, 64, 64, 3)
    request.negativePrompt = ""
    let expected = try pipeline.generate(request).frames
    let length = try pipeline.plan(request).maxSequenceLength
    let away = Away(from: try pipeline.encode([""], maxSequenceLength: length, clipSkip: 0), scale: 3)
    request.trueCFG = 1
    let found = try pipeline.generate(request, processors: [away]).frames
    expectClose(found, expected, Tolerance(absolute: 1e-4))
  }

  @Test func theArticleShowsTheCodeThatIsTestedAndEveryMethod() throws {
    let path = "Sources/ConceptAttention/ConceptAttention.docc/Methods.md"
    let blocks = try Article.blocks("swift", of: path), text = try Article.source(path)
    let source = try Article.source("Tests/ConceptAttentionTests/GalleryArticleTests.swift")
    #expect(blocks.count == 3)
    for block in blocks { #expect(source.contains(block), "the article's code differs from the test's") }
    for method in MapMethod.all { #expect(text.contains("| `\(method.name)` |"), "\(method.name)") }
  }
}
