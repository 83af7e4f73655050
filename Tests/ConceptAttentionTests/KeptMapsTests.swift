import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Maps of single heads of single layers.
@Suite struct KeptMapsTests {
  private let pipeline: any DiffusionPipeline

  init() throws { pipeline = try openPipeline("tiny-flux") }

  private func run(_ method: any SaliencyMethod) throws -> SaliencyMaps {
    var request = GenerationRequest("a red star above a house")
    (request.width, request.height, request.steps, request.trueCFG) = (64, 64, 2, 1)
    _ = try pipeline.generate(request, processors: [method])
    return try method.maps()
  }

  @Test func mapsOfLayersAndHeadsMakeThoseOfHeadsAndLayers() throws {
    let prompt = "a red star above a house"
    let words = try ["star", "house"].map { word in
      (name: word, tokens: try pipeline.tokens(of: word, in: prompt, maxSequenceLength: nil).flatMap { Array($0) })
    }
    var options = ConceptAttentionOptions(layers: [0, 2])
    options.keeping = [.layers, .heads, .layersAndHeads]
    let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)
    let methods: [any SaliencyMethod] = [
      RawCrossAttention(concepts: words, in: ["double.0", "double.2"], keeping: options.keeping),
      try pipeline.conceptAttention(["star", "house"], options: options),
    ]
    for method in methods {
      let maps = try run(method), heads = maps.byHead.count
      #expect(maps.byLayerAndHead.count == 2 * heads && heads > 1)
      for head in 0..<heads {
        let mean = try [0, 2].map { try #require(maps.byLayerAndHead[LayerAndHead($0, head)]) }
        expectClose((mean[0] + mean[1]) / 2, try #require(maps.byHead[head]), close, "\(method.name) head \(head)")
      }
      #expect(maps.named.contains { $0.name == "layer.2.head.1" })
      if method is RawCrossAttention {
        let layer = (0..<heads).compactMap { maps.byLayerAndHead[LayerAndHead(0, $0)] }
        expectClose(stacked(layer).mean(0), try #require(maps.byLayer[0]), close)
      }
    }
    // Without, none are kept.
    #expect(try run(RawCrossAttention(concepts: words, keeping: [.heads])).byLayerAndHead.isEmpty)
  }

  @Test func theyGoOnFromAnEarlierRun() throws {
    let maps = RawCrossAttention(keeping: [.layersAndHeads]), again = RawCrossAttention(keeping: [.layersAndHeads])
    let first = try run(maps)
    try again.resume(from: maps.sums)
    let both = try run(again)
    // The same run twice has the same mean.
    for (place, map) in first.byLayerAndHead {
      expectClose(try #require(both.byLayerAndHead[place]), map, Tolerance(absolute: 1e-6, relativeToMax: 1e-6))
    }
  }
}
