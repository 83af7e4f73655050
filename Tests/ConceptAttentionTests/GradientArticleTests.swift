import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

func slopes(_ prompt: String, step: Int, along direction: Tensor) throws -> PassGradient {
  let pass = try openPipeline("tiny-flux").denoiserPass(GenerationRequest(prompt), step: step)
  return try pass.gradient(
    of: .output(.dot(direction)), at: [.latents, .promptEmbeddings, "double.*.image.residualOutput"])
}

func prompt(_ prompt: String, pulling concepts: [String], to target: Tensor, steps: Int) throws -> EncodedPrompts {
  let pipeline = try openPipeline("tiny-flux"), pass = try pipeline.denoiserPass(GenerationRequest(prompt), step: 0)
  let onBoard = try pipeline.conceptAttention(concepts)
  let loss = Scalar.conceptMaps("double.2", of: onBoard, target: target)  // [concepts, tokens], one-hot
  var descent = try InputDescent(pass, changing: .promptEmbeddings, rate: 0.02)
  for _ in 0..<steps { try descent.step(loss, processors: [onBoard]) }
  return descent.pass.prompts  // for GenerationRequest.encodedPrompts
}

/// The article on gradients says what is compiled here.
@Suite struct GradientArticleTests {
  @Test func theArticlesCodeIsThisFiles() throws {
    let own = try Article.source("Tests/ConceptAttentionTests/GradientArticleTests.swift")
    for block in try Article.blocks("swift", of: "Sources/ConceptAttention/ConceptAttention.docc/Gradients.md")
    where block.hasPrefix("func") {
      #expect(own.contains(block), "not compiled: \(block)")
    }
  }

  @Test func theArticlesFunctionsRun() throws {
    let gradient = try slopes("a boat on the sea", step: 0, along: Tensor(1))
    #expect(gradient.latents != nil && gradient.promptEmbeddings != nil && !gradient.sites.isEmpty)
    let tokens = try openPipeline("tiny-flux").denoiserPass(GenerationRequest("a boat on the sea"), step: 0).pass.grid
      .count
    let target = concatenated([Tensor(ones: [1, tokens]), Tensor(zeros: [1, tokens])])
    let changed = try prompt("a boat on the sea", pulling: ["boat", "sea"], to: target, steps: 1)
    #expect(changed.states.isAllFinite)
  }
}
