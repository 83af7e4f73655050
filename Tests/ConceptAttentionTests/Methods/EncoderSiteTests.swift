import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Text encoders' blocks as sites of a run.
@Suite struct EncoderSiteTests {
  private func request(_ prompt: String = "a red star above a house", guided: Bool = false) -> GenerationRequest {
    var request = GenerationRequest(prompt)
    (request.width, request.height, request.steps) = (64, 64, 1)
    if guided {
      (request.trueCFG, request.negativePrompt) = (3, "a boat on the sea")
    } else {
      request.trueCFG = 1
    }
    return request
  }

  @Test(arguments: ["tiny-flux", "tiny-sd3"]) func lookingChangesNoBitAndEverySiteIsReached(_ name: String) throws {
    let pipeline = try openPipeline(name), families = pipeline.encoderSites.map(\.textFamily)
    #expect(families.contains { $0.hasPrefix("clip") } && families.contains("t5"))
    let cache = ActivationCache(families.map { SitePattern($0) })
    let plain = try pipeline.generate(request()).frames
    let looked = try pipeline.generate(request(), processors: [cache, Viewer(families)]).frames
    #expect(looked.isIdentical(to: plain))
    #expect(Set(cache.tensors.keys.map(\.site)) == Set(pipeline.encoderSites.flatMap(\.sites).map(\.description)))
  }

  @Test func sitesAreTheStatesOfTheEncoder() throws {
    let pipeline = try #require(openPipeline("tiny-flux") as? FluxPipeline), prompt = "a boat on the sea"
    let cache = ActivationCache("t5")
    _ = try pipeline.generate(request(prompt), processors: [cache])
    let layers = pipeline.t5.config.layers
    for layer in 0..<layers {
      func found(_ point: String, _ layer: Int) throws -> Tensor {
        try #require(cache["t5.\(layer).text.\(point)", step: 0])
      }
      let sum = try found("residualInput", layer) + found("attentionProjected", layer)
      #expect(try found("residualMiddle", layer).isIdentical(to: sum))
      let output = try found("residualOutput", layer)
      #expect(output.isIdentical(to: sum + (try found("mlpOutput", layer))))
      let next = try layer + 1 < layers ? found("residualInput", layer + 1) : output
      #expect(next.isIdentical(to: output))
    }
  }

  @Test(arguments: ["t5.0.text.mlpHidden", "t5.*.text.attentionOutput", "clip.0.text.residualMiddle"])
  func changesReachThePicture(_ site: String) throws {
    let pipeline = try openPipeline("tiny-flux"), plain = try pipeline.generate(request()).frames
    let ablation = ActivationAblation(SitePattern(site), by: .zero)
    #expect(try !pipeline.generate(request(), processors: [ablation]).frames.isIdentical(to: plain))
  }

  @Test func promptsOfBothBranchesAreToldApart() throws {
    let pipeline = try openPipeline("tiny-flux"), site = "t5.1.text.residualInput"
    let both = ActivationCache([SitePattern(site)], in: .every)
    _ = try pipeline.generate(request(guided: true), processors: [both])
    let own = try #require(both[site, step: 0]), negative = try #require(both[site, step: 0, branch: .unconditional])
    #expect(both.tensors.count == 2 && !own.isIdentical(to: negative))
    let boat = ActivationCache([SitePattern(site)])
    _ = try pipeline.generate(request("a boat on the sea"), processors: [boat])
    #expect(try #require(boat[site, step: 0]).isIdentical(to: negative))
  }

  @Test func aStarStandsForTheTransformerOnly() throws {
    let pipeline = try openPipeline("tiny-flux"), cache = ActivationCache("*.0.text.residualInput")
    _ = try pipeline.generate(request(), processors: [cache])
    #expect(Set(cache.tensors.keys.map(\.site)) == ["double.0.text.residualInput", "single.0.text.residualInput"])
    #expect { try pipeline.generate(request(), processors: [ActivationCache("t5.0.text.residualInputt")]) } throws: {
      "\($0)".contains("t5.0.text.residualInput,")
    }
    #expect(throws: HookError.self) {
      try pipeline.generate(request(), processors: [OutputLens(after: ["t5.0"])])
    }
    // Prompts that come encoded pass no encoder.
    var encoded = request()
    encoded.encodedPrompts = try pipeline.encode(encoded.prompts)
    #expect(throws: HookError.self) { try pipeline.generate(encoded, processors: [ActivationCache("t5")]) }
  }

  /// Attention of every block, seen and multiplied.
  private final class Viewer: AttentionProcessor {
    let families: [String]
    init(_ families: [String]) { self.families = families }
    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      for family in families {
        hooks.observe(BlockPattern(family)) { view, _ in
          let weights = view.probabilities(query: .text)
          let close = Tolerance(absolute: 1e-5)
          expectClose(weights.sum(-1), Tensor(ones: Array(weights.shape.dropLast())), close)
          if let value = view[.text]?.value, let output = view[.text]?.output {
            expectClose(Tensor.matmul(weights, value), output, Tolerance(absolute: 1e-5, relativeToMax: 1e-5))
          }
          expectClose(view.matrix(query: .text).columnMass, weights.sum(2), Tolerance(absolute: 1e-4))
        }
      }
    }
  }
}
