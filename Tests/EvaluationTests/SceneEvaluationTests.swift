import ConceptAttention
import EmbeddedModels
import Evaluation
import Foundation
import Models
import Tensor
import TestSupport
import Testing

/// The embedded models on their held-out scenes, against figures computed in PyTorch.
@Suite struct SceneEvaluationTests {
  private let scenes = (try? EmbeddedModel.tinyFlux.scenes) ?? ""

  /// Of the few videos within a point: each token that rounding moves over a threshold weighs more there.
  @Test(arguments: [(EmbeddedModel.tinyFlux, 0.005), (.tinySD3, 0.005), (.tinyCogVideoX, 0.01)])
  func everyFigureIsNearTheReference(model: EmbeddedModel, tolerance: Double) throws {
    let scenes = try model.scenes
    let table = try SceneSet(folder: scenes).evaluate(openPipeline(model.rawValue))
    let reference = try json(Data(contentsOf: URL(fileURLWithPath: "\(scenes)/metrics.json")))
    let found = try json(table.json())
    #expect(found.n == reference.n)
    #expect(found.prompt == reference.prompt)
    #expect(figures(reference).count == 8 * 4 * 3 * 7)
    #expect(figures(found).keys == figures(reference).keys)
    for (name, expected) in figures(reference) {
      let figure = try #require(figures(found)[name], "\(name) is not measured")
      #expect(abs(figure - expected) <= tolerance, "\(name): \(figure), expected \(expected)")
    }
    let lines = table.text.split(separator: "\n")
    let printed = try String(contentsOfFile: "\(scenes)/metrics.txt", encoding: .utf8).split(separator: "\n")
    #expect(lines.prefix(2).elementsEqual(printed.prefix(2)))
    #expect(lines.map { $0.prefix(18) } == printed.map { $0.prefix(18) })
  }

  @Test func whatTheProgressClosureThrowsEndsTheEvaluation() throws {
    struct Cancelled: Error {}
    var done = 0
    #expect(throws: Cancelled.self) {
      try SceneSet(folder: scenes).evaluate(openPipeline("tiny-flux")) { progress in
        done = progress.done
        throw Cancelled()
      }
    }
    #expect(done == 1)
  }

  @Test func aSelectedLayerThatTheModelDoesNotHaveIsAnError() throws {
    #expect(throws: SceneSetError.self) {
      try SceneSet(folder: scenes).evaluate(openPipeline("tiny-flux"), selection: [6])
    }
  }

  private func json(_ data: Data) throws -> JSON { try JSONDecoder().decode(JSON.self, from: data) }

  /// By row, kind of map and metric.
  private func figures(_ file: JSON) -> [String: Double] {
    var figures: [String: Double] = [:]
    for (row, kinds) in file.table.object {
      for (kind, metrics) in kinds.object {
        for (metric, value) in metrics.object { figures["\(row) \(kind) \(metric)"] = value.double }
      }
    }
    return figures
  }
}
