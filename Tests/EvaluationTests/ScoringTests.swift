import ConceptAttention
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
    var totals = SegmentationTotals(dataset.classes)
    for score in scores { totals.add(score) }
    let accuracy = try #require(totals[.accuracy]), figure = Figure(accuracy, samples: whole.samples(.accuracy))
    #expect(try #require(figure.interval).contains(accuracy))
    #expect(figure.minus(figure).interval == 0...0 && !figure.minus(figure).isSure)
  }

  @Test func aPictureCountsInAReplicateAsOftenAsItWasDrawn() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder), scores = try scores(tree, dataset)
    var one = Bootstrap(dataset.classes)
    one.add(scores[0])
    for replicate in one.replicates {
      var totals = SegmentationTotals(dataset.classes)
      for _ in 0..<replicate.pictures { totals.add(scores[0]) }
      #expect(totals == replicate)
    }
    let mean = Double(one.replicates.map(\.pictures).reduce(0, +)) / Double(one.replicates.count)
    #expect(abs(mean - 1) < 0.15 && one.replicates.contains { $0.pictures == 0 })
  }

  /// The interval of a mean of Bernoulli numbers is the textbook's.
  @Test func intervalsAreAsWideAsTheyShouldBe() throws {
    let classes = SegmentationClasses([0: "no", 1: "yes"])
    var state = EvaluationState(classes)
    for index in 0..<400 {
      var scores = PictureScores(
        id: "picture \(index)", height: 1, width: 1, concepts: [], argmax: ClassCounts(classes: 2))
      scores.argmax.add(1, predicted: 1, truth: index % 4 == 0 ? 0 : 1)
      state.add(.scored(scores, warnings: []))
    }
    let figure = try #require(state.figure(.accuracy)), interval = try #require(figure.interval)
    let half = 1.96 * (0.75 * 0.25 / 400.0).squareRoot()
    #expect(figure.value == 0.75)
    #expect(abs((interval.upperBound - interval.lowerBound) / 2 - half) < 0.15 * half, "\(interval), ± \(half)")
  }

  @Test func scoresComeBackFromTheirFileWithTheSameBits() throws {
    let dataset = try DatasetTrees.open(tree.format, tree.folder)
    for score in try scores(tree, dataset) {
      let read = try JSONDecoder().decode(PictureScores.self, from: JSONEncoder().encode(score))
      #expect(read == score)
    }
  }

  @Test(arguments: [0, 1, 40, 200]) func aFileThatWasCutOffAnywhereGoesOn(_ missing: Int) throws {
    let run = try VideoRun(), path = "\(run.folder.path)/pictures.jsonl"
    let whole = try run()
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    try bytes.dropLast(missing).write(to: URL(fileURLWithPath: path))
    let again = try run()
    #expect(again.done.count == (missing == 0 ? 3 : 2))
    expectSame(again.state, whole.state)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
    #expect(throws: DatasetProblem.self) { try run.files("other").takeOver { _, _ in } }
  }

  @Test func severalProcessesFindWhatOneFinds() throws {
    let one = try VideoRun(), whole = try one(), shared = try VideoRun()
    for process in 0..<3 { try shared.work(process, on: [2 - process]) }
    let together = try shared()
    #expect(together.done == [0, 1, 2])
    expectSame(together.state, whole.state)
  }

  @Test func aLostProcessLosesItsUnfinishedPicturesOnly() throws {
    let one = try VideoRun(), whole = try one(), shared = try VideoRun()
    try shared.work(0, on: [0])
    try shared.work(1, on: [1, 2])
    let path = "\(shared.folder.path)/pictures-1.jsonl"
    try Data(contentsOf: URL(fileURLWithPath: path)).dropLast(30).write(to: URL(fileURLWithPath: path))
    let rest = try shared()
    #expect(rest.done == [0, 1])
    expectSame(rest.state, whole.state)
  }

  @Test func aUnitThatTwoHaveDoneCountsOnce() throws {
    let one = try VideoRun(), whole = try one(), shared = try VideoRun()
    try shared.work(0, on: [0, 1])
    try shared.work(1, on: [1, 2])
    expectSame(try shared().state, whole.state)
  }

  @Test func aRunThatCountedNothingLeavesNoFile() throws {
    let run = try VideoRun(), files = run.files()
    _ = try files.writer(0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.path).isEmpty)
    do { try files.writer(0).append(files.text(0, [])) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.path) == ["pictures.jsonl"])
    _ = try files.writer(0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.path) == ["pictures.jsonl"], "of an earlier run")
  }

  @Test func twoProcessesDoNotWriteToOneFile() throws {
    let run = try VideoRun(), writer = try run.files().writer(0)
    #expect(throws: DatasetProblem.self) { try run.files().writer(0) }
    withExtendedLifetime(writer) {}
    try Data("notes\n".utf8).write(to: URL(fileURLWithPath: "\(run.folder.path)/pictures-1.jsonl"))
    #expect(throws: DatasetProblem.self) { try run.files().takeOver { _, _ in } }
  }

  private func expectSame(_ one: EvaluationState, _ other: EvaluationState) {
    #expect(one.totals == other.totals)
    #expect(one.bootstrap.replicates == other.bootstrap.replicates)
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
    try MapFolder.write(maps * 2, concepts: ["a", "b"], id: "video_0001", to: folder.path)
    try MapFolder.write(maps, concepts: ["a", "b"], id: String(repeating: "n", count: 300), to: folder.path)
    try MapFolder.write(maps, concepts: ["a", "b"], id: String(repeating: "n", count: 301), to: folder.path)
    let all = try MapFolder(folder.path)
    #expect(all.ids.count == 4 && all.problems.isEmpty)
    #expect(try all.maps("video/0001").concepts == ["grün", "b, c"])
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

/// Maps of three videos scored into files.
private struct VideoRun {
  let folder: TemporaryFolder
  let evaluation: MapEvaluation
  let maps: MapFolder

  init() throws {
    let videos = DatasetTrees.scored[11]
    folder = try TemporaryFolder()
    evaluation = MapEvaluation(try DatasetTrees.open(videos.format, videos.folder))
    maps = try MapFolder(videos.mapFolder)
  }

  func files(_ settings: String = "s") -> OutcomeFolder<OutcomeLine> {
    OutcomeFolder(
      folder.path, settings: settings, units: evaluation.units.map { $0.map(evaluation.dataset.id) })
  }

  /// One process does some units.
  func work(_ process: Int, on units: [Int]) throws {
    let files = files(), writer = try files.writer(process)
    for unit in units { try writer.append(files.text(unit, lines(unit))) }
  }

  /// One process takes over what there is and does the rest.
  func callAsFunction() throws -> (done: Set<Int>, state: EvaluationState) {
    var state = EvaluationState(evaluation.dataset.classes)
    let files = files(), done = try files.takeOver { unit, line in state.add(line.outcome(""), unit: unit) }
    let writer = try files.writer(0)
    for unit in evaluation.units.indices where !done.contains(unit) {
      let lines = lines(unit)
      for line in lines { state.add(line.outcome(""), unit: unit) }
      try writer.append(files.text(unit, lines))
    }
    return (done, state)
  }

  private func lines(_ unit: Int) -> [OutcomeLine] {
    evaluation.score(evaluation.units[unit]) { try maps.maps($0.id) }.map { OutcomeLine($0) }
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
    (#"{"layer": [1]}"#, "'layer': no such key; there are "), (#"{"noise": [1.5]}"#, "noise 1.5"),
    (#"{"draws": 0}"#, "draws 0"),
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
    let single = EvaluationProtocol.paperVOCSingle, multi = EvaluationProtocol.paperVOCMulti
    #expect(single.pictures == .singleClass && single.layers == [14, 15, 16, 17, 18] && single.labelSize == 224)
    #expect(multi.labelSize == 64 && multi.layers == [14, 15, 16, 17] && multi.draws == 1 && !multi.blurs)
    for rules in [single, multi] {
      #expect(rules.background == ["background", "floor", "grass", "tree", "sky"])
      #expect(rules.noise == [0.513] && rules.normalization == .none && rules.conceptScaling == .overConcepts)
    }
    #expect(EvaluationProtocol.paperVOCMulti.classNames["tvmonitor"] == "monitor")
  }

  @Test func anUnknownNameTellsWhichThereAre() throws {
    let problem = try #require(throws: DatasetProblem.self) { try EvaluationProtocol(nameOrPath: "papers") }
    #expect("\(problem)".contains("paper-imagenet"))
    let unknown = try #require(throws: (any Error).self) { try EvaluationMethod(named: "concept-attention:nothing") }
    #expect("\(unknown)".contains("concept-attention:value") && "\(unknown)".contains("chance"))
  }

  @Test func promptsNameTheClassesAsTheProtocolSays() throws {
    let dataset = try DatasetTrees.open("voc2012", "\(DatasetTrees.root)/voc2012"), example = try dataset.example(0)
    for (prompt, expected) in [
      ("a {concept}", "a boat"), ("{concepts}", "boat, cat"), ("a {concepts,a }.", "a boat,a cat."),
      ("{concepts,", "{concepts,"),
    ] {
      var rules = EvaluationProtocol()
      rules.prompt = prompt
      let maker = MapMaker(rules, try EvaluationMethod(named: "centre"), dataset.classes, pipeline: nil)
      #expect(maker.fullPrompt(example, (["boat", "cat"], [])) == expected)
    }
  }

  @Test func aPictureWithoutAClassIsOneOfBackground() throws {
    let dataset = try DatasetTrees.open("coco-object", "\(DatasetTrees.root)/coco")
    let empty = try #require(try (0..<dataset.count).map(dataset.example).first { $0.present == [0] })
    func outcome(_ rules: EvaluationProtocol) throws -> PictureOutcome {
      let maker = MapMaker(rules, try EvaluationMethod(named: "uniform"), dataset.classes, pipeline: nil)
      let evaluation = MapEvaluation(dataset, following: rules)
      let unit = try #require(evaluation.units.first { dataset.id($0.lowerBound) == empty.id })
      return evaluation.score(unit) { try maker.maps($0) }[0]
    }
    guard case .scored(let scores, _) = try outcome(.standard) else { throw NothingAsked("not scored") }
    #expect(scores.argmax.accuracy == 1)
    guard case .leftOut(_, let reason, _) = try outcome(.seg4diff) else { throw NothingAsked("not left out") }
    #expect(reason.contains("no class"))
  }

  /// Pillow's nearest neighbour takes the middles of cells; PyTorch's takes their beginnings.
  @Test func labelsAreBroughtToASizeAsPillowDoesIt() throws {
    let picture = Tensor(zeros: [1, 5, 3], dtype: .u8)
    let example = SegmentationExample(id: "a", picture: picture, labels: [0, 1, 2, 3, 4])
    #expect(example.labels(resizedTo: 2).labels == [1, 3, 1, 3])
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
