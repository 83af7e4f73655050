import Evaluation
import Formats
import Foundation
import Tensor
import TestSupport
import Testing

/// What adds up, what comes again after a crash, and what the rules say of odd maps.
@Suite struct ScoringTests {
  private let tree = DatasetTrees.scored[1]  // VOC: pictures
  private let videos = DatasetTrees.scored[11]

  @Test func totalsAreTheSameInAnyOrderAndGrouping() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder), scores = try scores(tree, dataset)
    var whole = SegmentationTotals(dataset.classes), parts = whole, second = whole
    for score in scores { whole.add(score) }
    for score in scores.reversed().prefix(5) { parts.add(score) }
    for score in scores.dropLast(5).shuffled() { second.add(score) }
    parts += second
    #expect(parts == whole)
    #expect(whole[.averagePrecision] != nil)
  }

  @Test func resampledTotalsOfPartsAreThoseOfTheWhole() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder), scores = try scores(tree, dataset)
    var whole = Bootstrap(dataset.classes), parts = whole, second = whole
    for score in scores { whole.add(score) }
    for score in scores.suffix(7) { parts.add(score) }
    for score in scores.dropLast(7) { second.add(score) }
    parts += second
    #expect(parts.replicates == whole.replicates)
    let interval = try #require(whole.interval(.accuracy))
    var totals = SegmentationTotals(dataset.classes)
    for score in scores { totals.add(score) }
    let accuracy = try #require(totals[.accuracy])
    #expect(interval.contains(accuracy))
    #expect(whole.interval(.accuracy, minus: whole) == 0...0)
  }

  @Test func scoresComeBackFromTheirFileWithTheSameBits() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder)
    for score in try scores(tree, dataset) {
      let read = try JSONDecoder().decode(PictureScores.self, from: JSONEncoder().encode(score))
      #expect(read == score)
    }
  }

  @Test(arguments: [0, 1, 40, 200]) func aFileThatWasCutOffAnywhereGoesOn(_ missing: Int) throws {
    let dataset = try DatasetTrees.open(videos.format, videos.folder), folder = try TemporaryFolder()
    let evaluation = MapEvaluation(dataset), maps = try MapFolder(videos.mapFolder), path = "\(folder.path)/outcomes"
    let units = evaluation.units.map { $0.map(dataset.id) }
    func run() throws -> (done: Int, state: EvaluationState) {
      var state = EvaluationState(dataset.classes)
      let (file, done) = try OutcomeFile.open(path, settings: "s", classes: dataset.classes, units: units) {
        state.add($0)
      }
      for unit in evaluation.units.dropFirst(done) {
        let outcomes = evaluation.score(unit) { try maps.maps($0.id) }
        outcomes.forEach { state.add($0) }
        try file.append(outcomes)
      }
      return (done, state)
    }
    let whole = try run()
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    try bytes.dropLast(missing).write(to: URL(fileURLWithPath: path))
    let again = try run()
    #expect(again.done == (missing == 0 ? 3 : 2))
    #expect(again.state.totals == whole.state.totals)
    #expect(again.state.bootstrap.replicates == whole.state.bootstrap.replicates)
    let after = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(after == bytes)
    #expect(throws: DatasetProblem.self) {
      try OutcomeFile.open(path, settings: "other", classes: dataset.classes, units: units) { _ in }
    }
  }

  @Test(arguments: [
    (#""correct":"#, #""correct":-"#), (#""averagePrecision":"#, #""averagePrecision":1e300,"x":"#),
    (#""tp":"#, #""tp":9223372036854775807,"x":"#), (#""of":"#, #""of":5,"x":"#),
    (#""labelled":"#, #""labelled":9223372036854775807,"x":"#),
  ])
  func damagedOutcomesAreCountedAgain(_ found: String, _ damaged: String) throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder), folder = try TemporaryFolder()
    let evaluation = MapEvaluation(dataset), maps = try MapFolder(tree.mapFolder), path = "\(folder.path)/outcomes"
    let units = evaluation.units.map { $0.map(dataset.id) }
    func open() throws -> (file: OutcomeFile, done: Int) {
      try OutcomeFile.open(path, settings: "s", classes: dataset.classes, units: units) { _ in }
    }
    let file = try open().file
    for unit in evaluation.units.prefix(2) { try file.append(evaluation.score(unit) { try maps.maps($0.id) }) }
    #expect(try open().done == 2)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let place = try #require(text.range(of: found, options: .backwards))
    try text.replacingCharacters(in: place, with: damaged).write(toFile: path, atomically: true, encoding: .utf8)
    #expect(try open().done == 1)
  }

  @Test func aMapThatIsNoNumberIsRefusedByName() throws {
    let maps = Tensor([0, 1, .nan, 2], shape: [1, 2, 2])
    let problem = try #require(throws: MapProblem.self) { try ConceptMaps(id: "a", concepts: ["cat"], maps: maps) }
    #expect("\(problem)" == "a: a map has a value that is no finite number, or above 1e300")
    #expect(throws: MapProblem.self) { try ConceptMaps(id: "a", concepts: ["cat", "dog"], maps: maps) }
  }

  @Test func mapsAreReadAsTheyWereWritten() throws {
    let folder = try TemporaryFolder(), maps = Tensor([0, 1, 2, 3, 4, 5], shape: [2, 1, 3])
    try MapFolder.write(maps, concepts: ["grün", "b, c"], id: "video/0001", to: folder.path)
    let read = try MapFolder(folder.path).maps("video/0001")
    #expect(read.concepts == ["grün", "b, c"])
    #expect(read.tensor.floats == maps.floats)
    let missing = try #require(throws: MapProblem.self) { try MapFolder(folder.path).maps("other") }
    #expect(missing.id == "other")
    #expect(throws: MapProblem.self) { try MapFolder("nowhere") }
  }

  @Test func whatTheAuthorsPrintIsAccuracyOverTwoLessAccuracy() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder)
    var totals = SegmentationTotals(dataset.classes)
    for score in try scores(tree, dataset) { totals.add(score) }
    let accuracy = try #require(totals[.authorsAccuracy]), printed = try #require(totals[.upstreamIoU])
    #expect(abs(printed - accuracy / (2 - accuracy)) < 1e-12)
    #expect(SegmentationMetric.upstreamIoU.note?.contains("no mIoU") == true)
  }

  private func scores(_ tree: DatasetTrees.Scored, _ dataset: any SegmentationDataset) throws -> [PictureScores] {
    var scores: [PictureScores] = []
    try MapEvaluation(dataset).score(MapFolder(tree.mapFolder)) { _, outcomes in
      for case .scored(let score, _) in outcomes { scores.append(score) }
    }
    #expect(scores.count == 12)
    return scores
  }
}

/// Protocols as files.
@Suite struct ProtocolTests {
  @Test(arguments: EvaluationProtocol.presets) func aPresetIsItsFile(_ preset: EvaluationProtocol) throws {
    let folder = try TemporaryFolder(), path = "\(folder.path)/protocol.json"
    try Data(preset.json.utf8).write(to: URL(fileURLWithPath: path))
    let read = try EvaluationProtocol(nameOrPath: path), named = try EvaluationProtocol(nameOrPath: preset.name)
    #expect(read == preset)
    #expect(named == preset)
  }

  @Test(arguments: [
    (#"{"layer": [1]}"#, "'layer' means nothing"), (#"{"noise": [1.5]}"#, "noise 1.5"), (#"{"draws": 0}"#, "draws 0"),
    (#"{"metrics": []}"#, "metrics"), (#"{"metrics": ["iuo"]}"#, "iuo"), (#"{"layers": []}"#, "layers"),
    (#"{"labelSize": 0}"#, "labelSize 0"), ("{", "JSON"),
  ])
  func whatIsWrongWithAFileIsNamed(_ text: String, _ message: String) throws {
    let folder = try TemporaryFolder(), path = "\(folder.path)/protocol.json"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let problem = try #require(throws: DatasetProblem.self) { try EvaluationProtocol(path: path) }
    #expect(problem.path == path)
    #expect("\(problem)".contains(message), "\(problem)")
  }

  @Test func thePaperProtocolsHaveTheConstantsOfItsScripts() throws {
    let imageNet = EvaluationProtocol.paperImageNet
    #expect(imageNet.layers == [14, 15, 16, 17] && imageNet.draws == 5 && imageNet.noise == [0.5] && imageNet.blurs)
    #expect(imageNet.background == ["background", "floor", "tree", "person", "grass", "face"])
    #expect(EvaluationProtocol.paperVOCSingle.pictures == .singleClass)
    #expect(EvaluationProtocol.paperVOCMulti.labelSize == 64)
    #expect(EvaluationProtocol.paperVOCMulti.classNames["tvmonitor"] == "monitor")
  }

  @Test func anUnknownNameTellsWhichThereAre() throws {
    let problem = try #require(throws: DatasetProblem.self) { try EvaluationProtocol(nameOrPath: "papers") }
    #expect("\(problem)".contains("paper-imagenet"))
    let unknown = try #require(throws: (any Error).self) { try EvaluationMethod(named: "concept-attention:nothing") }
    #expect("\(unknown)".contains("concept-attention:value") && "\(unknown)".contains("chance"))
  }

  @Test func picturesOfSeveralClassesAreLeftOutWhereTheProtocolTakesOne() throws {
    let dataset = try DatasetTrees.open("voc2012", "\(DatasetTrees.root)/voc2012")
    var state = EvaluationState(dataset.classes)
    let maker = MapMaker(
      .paperVOCSingle, try EvaluationMethod(named: "centre"), dataset.classes, pipeline: nil)
    let evaluation = MapEvaluation(dataset, following: .paperVOCSingle)
    for unit in evaluation.units {
      evaluation.score(unit) { try maker.maps($0) }.forEach { state.add($0) }
    }
    #expect(state.leftOut > 0 && state.totals.pictures > 0)
    #expect(state.leftOut + state.totals.pictures == dataset.count)
    #expect(state.skipped.isEmpty)
  }
}
