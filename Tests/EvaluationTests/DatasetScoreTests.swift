import Evaluation
import Foundation
import TestSupport
import Testing

/// Maps in folders against the scores of an independent scorer, number by number.
@Suite struct DatasetScoreTests {
  @Test(arguments: DatasetTrees.scored) func everyNumberIsThatOfTheReference(_ tree: DatasetTrees.Scored) throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder)
    var state = EvaluationState(dataset.classes), pictures: [String: String] = [:]
    try MapEvaluation(dataset).score(MapFolder(tree.mapFolder)) { _, outcomes in
      for outcome in outcomes {
        state.add(outcome)
        if case .scored(let scores, _) = outcome { pictures[scores.id] = "\(scores.summary(dataset.classes))" }
      }
    }
    #expect(state.skipped.isEmpty)
    let expected = try json(Data(contentsOf: URL(fileURLWithPath: "\(tree.mapFolder)/expected_scores.json")))
    let total = state.totals.summary(dataset.classes, format: tree.format, split: "val", rules: ScoringRules())
    let expectedTotal = try #require(expected["total"])
    try compare(json(Data("\(total)".utf8)), expectedTotal, tree.format)
    let rows = try #require(expected["per_picture"] as? [[String: Any]])
    #expect(rows.count == pictures.count)
    for row in rows {
      let id = try #require(row["id"] as? String)
      let picture = try #require(pictures[id])
      try compare(json(Data(picture.utf8)), row, id)
    }
  }

  private func json(_ data: Data) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  /// What a file of scores says, and nothing else, but for names of formats and figures the reference does not have.
  private func compare(_ found: Any, _ expected: Any, _ place: String) throws {
    if let expected = expected as? [String: Any] {
      let found = try #require(found as? [String: Any], "\(place)")
      #expect(Set(found.keys).subtracting(["mvc8"]) == Set(expected.keys), "\(place)")
      for (key, value) in expected where key != "format" {
        let part = try #require(found[key], "\(place)/\(key)")
        try compare(part, value, "\(place)/\(key)")
      }
    } else if let expected = expected as? [Any] {
      let found = try #require(found as? [Any], "\(place)")
      #expect(found.count == expected.count, "\(place)")
      for (index, pair) in zip(found, expected).enumerated() { try compare(pair.0, pair.1, "\(place)/\(index)") }
    } else if let expected = expected as? Double {
      let found = try #require(found as? Double, "\(place)")
      #expect(abs(found - expected) <= 1e-6, "\(place): \(found), expected \(expected)")
    } else {
      #expect("\(found)" == "\(expected)", "\(place)")
    }
  }
}

/// Faulty trees: what is wrong is named, what is right is scored.
@Suite struct BrokenDatasetTests {
  @Test(arguments: DatasetTrees.broken) func whatIsWrongIsNamed(_ tree: DatasetTrees.Broken) throws {
    var messages: [String] = [], warnings: [String] = [], usable = 0
    do {
      let dataset = try DatasetTrees.open(tree.formatName, tree.folder)
      warnings = dataset.warnings
      try MapEvaluation(dataset).check { id, odd, fault in
        warnings += odd
        if let fault { messages.append("\(id): \(fault)") } else { usable += 1 }
      }
    } catch { messages.append("\(error)") }
    #expect(usable == tree.usable)
    for word in tree.must_name {
      #expect((messages + warnings).contains { $0.contains(word) }, "\(word) in \(messages) \(warnings)")
    }
    switch tree.outcome {
    case "fatal": #expect(usable == 0 && !messages.isEmpty)
    case "partial": #expect(!messages.isEmpty)
    case "warn": #expect(messages.isEmpty && !warnings.isEmpty, "\(messages) \(warnings)")
    default: #expect(messages.isEmpty && warnings.isEmpty, "\(messages) \(warnings)")
    }
  }

  @Test func thereAreBrokenTrees() { #expect(DatasetTrees.broken.count > 50) }
}
