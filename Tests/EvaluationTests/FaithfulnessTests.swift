import ConceptAttention
import EmbeddedModels
import Evaluation
import Foundation
import Models
import NN
import Tensor
import Testing

/// Cutting edges of marked tokens, on the embedded model and its scenes.
@Suite struct FaithfulnessTests {
  private let pipeline: any DiffusionPipeline
  private let dataset: any SegmentationDataset

  init() throws {
    pipeline = try openPipeline("tiny-flux")
    dataset = try DatasetTrees.open("scenes", EmbeddedScenes.path)
  }

  private func measure(_ methods: [String], _ index: Int, _ edges: [Faithfulness.Edges]) throws -> FaithfulnessLine {
    let makers = try methods.map {
      (
        name: $0,
        maker: MapMaker(.standard, try EvaluationMethod(named: $0), dataset.classes, pipeline: pipeline)
      )
    }
    return try Faithfulness(.standard, pipeline, makers, edges: edges).measure(dataset.example(index))
  }

  @Test func aCutThatCutsNothingChangesNothingToTheBit() throws {
    for edges in Faithfulness.Edges.allCases {
      let line = try measure(["centre"], 0, [edges])
      #expect(line.noiseFloor == 0 && line.idle == 0)
      #expect(!line.curves.isEmpty)
    }
  }

  @Test func curvesGoFromNothingToAll() throws {
    let line = try measure(["concept-attention"], 0, [.word])
    #expect(Set(line.curves.map(\.order)) == [Faithfulness.random, "concept-attention"])
    #expect(Set(line.curves.map(\.concept)) == ["night", "grass", "square"])
    for curve in line.curves {
      #expect(curve.predictionCut.first == 0 && curve.predictionCut.last == 1)
      #expect(curve.predictionKept.first == 1 && curve.predictionKept.last == 0)
      #expect(curve.predictionCut.dropFirst().allSatisfy { $0 > 0 && $0.isFinite })
      #expect(curve.othersCut?.count == Faithfulness.shares.count)
    }
    let again = try measure(["concept-attention"], 0, [.word])
    #expect(again.curves.map(\.predictionCut) == line.curves.map(\.predictionCut))
  }

  @Test func cuttingAllIsWhatAKnockoutOfTheWordDoes() throws {
    let example = try dataset.example(0)
    var request = InspectionRequest(frames: example.frames)
    (request.prompt, request.seed) = (try #require(example.prompt), 3)
    request.noise = .levels([0.5, 0.5])
    let words = try pipeline.tokens(of: "square", in: request.prompt, maxSequenceLength: nil).flatMap { Array($0) }
    let tokens = try pipeline.plan(request).grid.count, all = [Bool](repeating: true, count: tokens)
    let cut = EdgeCut([nil, .init(edges: .word, isChosen: all)], words: words)
    try pipeline.inspect(request, processors: [cut])

    let plain = LastPrediction(blind: nil), blind = LastPrediction(blind: words)
    request.noise = .levels([0.5])
    try pipeline.inspect(request, processors: [plain])
    try pipeline.inspect(request, processors: [blind])
    let difference = try #require(plain.prediction) - #require(blind.prediction)
    let expected = Double((difference * difference).mean().item).squareRoot()
    #expect(expected > 0)
    #expect(abs(cut.changes[1] - expected) < 1e-5 * expected)
  }

  /// What the model is told is where the word is used: cutting there changes more than cutting anywhere.
  @Test func marksOfTheTruthMatterMoreThanRandomOnes() throws {
    var marked = 0.0, random = 0.0
    for index in [0, 3, 5, 8] {
      let line = try measure(["concept-attention"], index, [.word])
      for curve in line.curves {
        if curve.order == Faithfulness.random {
          random += area(curve.predictionCut)
        } else {
          marked += area(curve.predictionCut)
        }
      }
    }
    #expect(marked > random)
  }

  @Test func areasAreThoseOfTrapezoids() {
    #expect(area([0, 1], over: [0, 1]) == 0.5)
    #expect(area([0, 1, 1], over: [0, 0.25, 1]) == 0.875)
  }

  @Test func tablesCompareWithRandomOrder() throws {
    let line = try measure(["centre"], 0, [.word])
    var empty = FaithfulnessLine()
    empty.skipped = "no picture"
    let table = FaithfulnessTable(
      title: "t", settings: [], edges: [.word], orders: [Faithfulness.random, "centre"],
      lines: (0..<30).map { ("picture \($0)", line) } + [("bad", empty)])
    #expect(table.markdown.contains("## Compared with random order"))
    #expect(table.markdown.contains("0, to the bit") && table.markdown.contains("bad: no picture"))
    #expect(table.csv.contains("word,centre,prediction_cut,"))
    #expect(table.plots.map(\.name) == ["plot-word", "curves-word"])
    #expect(table.plots.allSatisfy { $0.svg.hasPrefix("<svg") && !$0.svg.contains("nan") })
  }
}

/// The model's prediction, with words that image tokens may not see.
private final class LastPrediction: AttentionProcessor {
  let blind: [Int]?
  private(set) var prediction: Tensor?

  init(blind: [Int]?) { self.blind = blind }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if let blind {
      hooks.attend("*") { call, _, next in
        guard let text = call.sources.first(where: { $0.stream == .text }) else { return next(call) }
        var call = call
        let mask = Tensor(
          scalars: (0..<text.key.shape[2]).map(blind.contains), shape: [1, 1, 1, text.key.shape[2]])
        call.forbid(mask, query: .image, key: .text)
        return next(call)
      }
    }
    hooks.readOut(BlockPattern("\(model.blocks.last?.description ?? "")")) { output, _, _ in
      self.prediction = output.prediction
    }
  }
}
