import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The two cross-attention baselines of ConceptAttention's paper against their definitions, written out on recorded tensors.
@Suite(.exactProducts) struct CrossAttentionTests {
  private static let prompt = "a red star above a house"

  private func request() -> GenerationRequest {
    var request = GenerationRequest(Self.prompt)
    (request.steps, request.width, request.height) = (1, 64, 64)
    return request
  }

  @Test func thePapersIsASoftmaxOverImageTokens() throws {
    let pipeline = try openPipeline("tiny-flux")
    let tokens = try ["star", "house"].map {
      (name: $0, tokens: try pipeline.tokens(of: $0, in: Self.prompt, maxSequenceLength: nil).flatMap { Array($0) })
    }
    let method = PromptCrossAttention(tokens, in: ["double.2"])
    let seen = Seen(["double.2.text.query", "double.2.image.rotatedKey"])
    _ = try pipeline.generate(request(), processors: [method, seen])
    let query = try #require(seen.tensors["double.2.text.query"]),
      key = try #require(seen.tensors["double.2.image.rotatedKey"])
    let scale = 1 / Float(query.shape[3]).squareRoot()
    let weights = (Tensor.matmul(query, key.transposed()) * scale).softmax(-1).mean(1)
    let expected = stacked(tokens.map { weights.take(1, $0.tokens).mean(1) }, axis: 1)
    expectClose(try method.maps().average.reshaped(1, 2, 64), expected, Tolerance(absolute: 1e-6))
  }

  @Test func theAuthorsIsASoftmaxOverConceptsInEveryHead() throws {
    let pipeline = try openPipeline("tiny-flux")
    let set = try pipeline.conceptAttention(["star", "house", "sky"]).concepts
    let method = AuthorsCrossAttention(set, layers: [1])
    let seen = Seen(["double.1.authors-concepts.key", "double.1.image.query"])
    _ = try pipeline.generate(request(), processors: [method, seen])
    let key = try #require(seen.tensors["double.1.authors-concepts.key"]),
      query = try #require(seen.tensors["double.1.image.query"])
    let expected = Tensor.matmul(key, query.transposed()).softmax(2).mean(1)
    expectClose(try method.maps().average.reshaped(1, 3, 64), expected, Tolerance(absolute: 1e-6))
  }
}

/// Tensors of sites, of the last pass.
private final class Seen: AttentionProcessor {
  let sites: [String]
  private(set) var tensors: [String: Tensor] = [:]

  init(_ sites: [String]) { self.sites = sites }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    for name in sites { hooks.read(SitePattern(name)) { tensor, _, _ in self.tensors[name] = tensor } }
  }
}
