import NN
import Tensor
import TestSupport
import Testing

/// The hook's contract, on a toy model: order, composition, discovery, and what is an error.
@Suite struct HookTests {
  private let model: ToyModel
  private let input = ToyModel.Input(batch: 2)
  private let grid = TokenGrid(height: 1, width: 5)

  init() throws { model = try ToyModel() }

  private func install(_ processors: [any AttentionProcessor]) throws -> HookRun {
    try HookRun(processors, on: model, pass: Pass(steps: 1, grid: grid, batch: 2))
  }

  // MARK: Order

  @Test func processorsRunPhaseByPhaseInTheOrderOfTheList() throws {
    let log = Log()
    let run = try install([Logger("a", log), Logger("b", log)])
    _ = model(input, hooks: run)
    #expect(
      log.lines == [
        "a attends toy.1", "b attends toy.1", "b attended toy.1", "a attended toy.1",
        "a edits toy.1", "b edits toy.1",
        "a rewrites toy.1.image.attentionOutput", "b rewrites toy.1.image.attentionOutput",
        "a reads toy.1.image.attentionOutput", "b reads toy.1.image.attentionOutput",
        "a observes toy.1", "b observes toy.1",
      ])
  }

  @Test func everyRewriteSeesTheOneBeforeAndReadersSeeTheLast() throws {
    let site: SitePattern = "toy.0.image.query"
    let reader = Change(site) { $0 }, double = Change(site) { $0 * 2 }, increment = Change(site) { $0 + 1 }
    _ = try model(input, hooks: install([reader]))
    let plain = try #require(reader.seen.first)
    _ = try model(input, hooks: install([reader, double, increment]))
    #expect(reader.seen[1].isIdentical(to: plain * 2 + 1))
    _ = try model(input, hooks: install([increment, double, reader]))
    #expect(reader.seen[2].isIdentical(to: (plain + 1) * 2))
  }

  @Test func aRewriteReachesEverythingAfterIt() throws {
    let later = Change("toy.1.image.residualOutput") { $0 }
    let plain = model(input)
    for site in model.sites where site != Site(BlockID("toy", 1), .text, .query) {
      // Text queries of the last block have nobody to tell.
      if site.block.layer == 1, site.stream == .text, site.point == .attentionOutput { continue }
      let changed = try model(input, hooks: install([Change(SitePattern(site)) { $0 * 1.5 }, later]))
      #expect(!changed.isIdentical(to: plain), "\(site)")
    }
    #expect(later.seen.allSatisfy { $0.shape == plain.shape })
  }

  @Test func editsComeBeforeTheSiteAndTheSiteBeforeObservers() throws {
    let edit = Edit { $0 * 3 }, rewrite = Change("toy.0.image.attentionOutput") { $0 + 1 }, watcher = Edit { $0 }
    let plain = Edit { $0 }
    _ = try model(input, hooks: install([plain]))
    _ = try model(input, hooks: install([watcher, rewrite, edit]))
    let expected = try #require(plain.observed.first) * 3 + 1
    #expect(try #require(watcher.observed.first).isIdentical(to: expected))
  }

  @Test func replacementsOfAttentionWrapOneAnother() throws {
    let plain = Edit { $0 }, wrapped = Edit { $0 }
    _ = try model(input, hooks: install([plain]))
    _ = try model(input, hooks: install([Attend { $0 + 1 }, Attend { $0 * 2 }, wrapped]))
    // The first of the list is outermost: it adds to what the second has doubled.
    let expected = try #require(plain.observed.first) * 2 + 1
    #expect(try #require(wrapped.observed.first).isIdentical(to: expected))
  }

  // MARK: Cost

  @Test func lookingChangesNoBit() throws {
    let everything = Change("*") { $0 }
    #expect(try model(input, hooks: install([everything, Edit { $0 }])).isIdentical(to: model(input)))
    #expect(try model(input, hooks: install([])).isIdentical(to: model(input)))
  }

  @Test func aSiteNobodyWantsIsNotVisited() throws {
    let run = try install([Change("toy.0.text.value") { $0 }])
    _ = model(input, hooks: run)
    _ = model(input, hooks: run)
    #expect(run.fired == [Site(BlockID("toy", 0), .text, .value): 2])
    #expect(run.isDone(after: BlockID("toy", 0)))
    #expect(try !install([Change("toy.1.image.query") { $0 }]).isDone(after: BlockID("toy", 0)))
  }

  // MARK: Discovery and errors

  @Test func sitesAreListedInTheOrderOfTheComputation() throws {
    let order = Log()
    _ = try model(input, hooks: install([Logger("x", order, sites: "*")]))
    let read = order.lines.filter { $0.contains("reads") }.map { String($0.dropFirst("x reads ".count)) }
    #expect(Set(read) == Set(model.sites.map(\.description)) && read.count == model.sites.count)
    for stream in [StreamID.text, .image] {
      let part = ".\(stream.name)."
      #expect(read.filter { $0.contains(part) } == model.sites.map(\.description).filter { $0.contains(part) })
    }
  }

  @Test func unknownSitesAndStreamsAreErrorsWhenInstalled() throws {
    #expect(
      throws: HookError.unknownPlace(
        pattern: "toy.1.image.atentionOutput", processor: "Change",
        nearest: ["toy.1.image.attentionOutput", "toy.0.image.attentionOutput"])
    ) { try install([Change("toy.1.image.atentionOutput") { $0 }]) }
    #expect(throws: HookError.unknownPlace(pattern: "toy.2", processor: "Attend", nearest: ["toy.0", "toy.1"])) {
      try install([Attend(in: "toy.2") { $0 }])
    }
    #expect(
      throws: HookError.noStream(
        "guest", pattern: "toy.0.guest", processor: "Change", streams: ["text", "image"])
    ) { try install([Change("toy.0.guest") { $0 }]) }
    #expect(throws: HookError.duplicateStream(.image, processor: "Guest")) { try install([Guest(.image)]) }
    #expect(throws: HookError.duplicateStream("guest", processor: "Guest")) { try install([Guest(), Guest()]) }
    _ = try install([Guest(), Change("toy.0.guest.query") { $0 }])
  }

  @Test func aNamedSiteThatNeverFiredIsAnErrorAtTheEnd() throws {
    let run = try install([Change("toy.0") { $0 }, Change("toy.1.text.residualInput") { $0 }])
    #expect(throws: HookError.neverFired(what: "'toy.0'", processor: "Change")) { try run.finish() }
    _ = model(input, hooks: run)
    try run.finish()
    let absent = try install([Guest(in: PassFilter(steps: [3]))])
    _ = model(input, hooks: absent)
    #expect(throws: HookError.neverFired(what: "stream 'guest'", processor: "Guest")) { try absent.finish() }
  }

  @Test func aProcessorWithNothingToDoIsAnError() {
    #expect(throws: HookError.nothingToDo(processor: "Idle")) { try install([Idle()]) }
  }

  @Test func passesThatTheRunDoesNotMakeAreRefusedBeforeIt() throws {
    let passes = (0..<2).map { Pass(step: $0, steps: 2, grid: grid) }
    func install(_ filter: PassFilter) throws -> HookRun {
      try HookRun([Guest(in: filter)], on: model, pass: passes[0], passes: passes)
    }
    _ = try install(PassFilter(steps: [1]))
    #expect(
      throws: HookError.noSuchPass(what: "stream 'guest'", processor: "Guest", passes: "steps 0 to 1, conditional")
    ) { try install(PassFilter(steps: [2])) }
    #expect(throws: HookError.self) { try install(PassFilter(branches: [.unconditional])) }
  }

  @Test func lookingIsAtTheConditionalBranchAndChangingAtAllUnlessTold() throws {
    let change = Change("toy.0.image.query") { $0 * 2 }, run = try install([change])
    run.pass.branch = .unconditional
    #expect(!model(input, hooks: run).isIdentical(to: model(input)) && change.seen.isEmpty)
    run.pass.branch = .conditional
    #expect(!model(input, hooks: run).isIdentical(to: model(input)) && change.seen.count == 1)
  }

  @Test func ridersThatTheModelCannotCarryAreNamed() throws {
    func install(_ rider: Rider) throws -> HookRun { try self.install([Guest(rider)]) }
    let tokens = Tensor(ones: [1, 2, ToyModel.dim])
    for (rider, reason) in [
      (Rider("a", processedAs: "audio", embeddings: tokens, reads: ["a"]), "processed as 'audio'"),
      (Rider("a", embeddings: tokens, reads: ["a", "nobody"]), "reads 'nobody'"),
      (Rider("a", embeddings: tokens, reads: ["a"], families: ["single"]), "families are [\"toy\"]"),
    ] {
      let error = #expect(throws: HookError.self) { try install(rider) }
      #expect(error?.description.contains("Guest: stream 'a'") == true)
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
  }

  // MARK: What a processor or a block returns

  @Test func oneOutputTooFewStopsWithTheProcessorsName() async {
    let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let model = try ToyModel(), pass = Pass(steps: 1, grid: TokenGrid(height: 1, width: 5))
      _ = model(ToyModel.Input(batch: 1), hooks: try HookRun([Attend(dropping: 1) { $0 }], on: model, pass: pass))
    }
    expectTrapText(trap, "Attend.attend in block toy.0: returned shapes [[1, 3, 3, 4]], expected")
  }

  @Test func anEditOfAnotherShapeStopsWithTheProcessorsName() async {
    let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let model = try ToyModel(), pass = Pass(steps: 1, grid: TokenGrid(height: 1, width: 5))
      _ = model(ToyModel.Input(batch: 1), hooks: try HookRun([Edit { _ in Tensor([1]) }], on: model, pass: pass))
    }
    expectTrapText(trap, "Edit.edit in block toy.0: output of 'image' has shape [1], expected [1, 3, 5, 4]")
  }

  @Test func aHalfThatLosesAStreamStopsWithItsName() async {
    for lost in [Careless.Loss.projection, .update] {
      let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        [lost = lost as Careless.Loss] in
        var streams = [
          Stream("image", tokens: Tensor(ones: [1, 2, 4]), conditioning: Tensor(ones: [1, 4]), reads: ["image"])
        ]
        runJointBlock(Careless(loses: lost), BlockID("toy", 0), &streams, hooks: nil)
      }
      expectTrapText(
        trap,
        lost == .projection
          ? "Careless.project in block toy.0: 0 projections of 1 streams"
          : "Careless.update in block toy.0: shapes [], expected [[1, 2, 4]]")
    }
  }
}

// MARK: Processors

private final class Log {
  var lines: [String] = []
}

/// Writes down every call at the last block.
private final class Logger: AttentionProcessor {
  let name: String
  private let sites: SitePattern
  private let log: Log

  init(_ name: String, _ log: Log, sites: SitePattern = "toy.1.image.attentionOutput") {
    self.name = name
    self.log = log
    self.sites = sites
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    let name = name, log = log
    hooks.observe("toy.1") { block, _ in log.lines.append("\(name) observes \(block.id)") }
    hooks.edit("toy.1") { block, _ in log.lines.append("\(name) edits \(block.id)") }
    hooks.attend("toy.1") { call, _, next in
      log.lines.append("\(name) attends \(call.block)")
      defer { log.lines.append("\(name) attended \(call.block)") }
      return next(call)
    }
    hooks.read(sites) { _, site, _ in log.lines.append("\(name) reads \(site)") }
    hooks.rewrite(sites) { tensor, site, _ in
      log.lines.append("\(name) rewrites \(site)")
      return tensor
    }
  }
}

/// Rewrites a site and keeps what it reads there.
private final class Change: AttentionProcessor {
  private let pattern: SitePattern
  private let change: (Tensor) -> Tensor
  private(set) var seen: [Tensor] = []

  init(_ pattern: SitePattern, _ change: @escaping (Tensor) -> Tensor) {
    self.pattern = pattern
    self.change = change
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.rewrite(pattern) { tensor, _, _ in self.change(tensor) }
    hooks.read(pattern) { tensor, _, _ in self.seen.append(tensor) }
  }
}

/// Edits the image's outputs of the first block and keeps what it observes of them.
private final class Edit: AttentionProcessor {
  private let change: (Tensor) -> Tensor
  private(set) var observed: [Tensor] = []

  init(_ change: @escaping (Tensor) -> Tensor) { self.change = change }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.edit("toy.0") { block, _ in
      guard let output = block[.image]?.output else { return }
      block[.image]?.output = self.change(output)
    }
    hooks.observe("toy.0") { block, _ in self.observed += block[.image].map { [$0.output] } ?? [] }
  }
}

/// Changes what attention gives in the first block.
private final class Attend: AttentionProcessor {
  private let blocks: BlockPattern
  private let dropped: Int
  private let change: (Tensor) -> Tensor

  init(in blocks: BlockPattern = "toy.0", dropping dropped: Int = 0, _ change: @escaping (Tensor) -> Tensor) {
    self.blocks = blocks
    self.dropped = dropped
    self.change = change
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.attend(blocks) { call, _, next in next(call).dropLast(self.dropped).map(self.change) }
  }
}

private final class Guest: AttentionProcessor {
  private let rider: Rider
  private let passes: PassFilter

  init(_ rider: Rider, in passes: PassFilter = .conditional) {
    self.rider = rider
    self.passes = passes
  }

  convenience init(_ id: StreamID = "guest", in passes: PassFilter = .conditional) {
    self.init(Rider(id, embeddings: Tensor(ones: [1, 2, ToyModel.dim]), reads: [id, .image]), in: passes)
  }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) { hooks.board(rider, in: passes) }
}

/// Written as if a function alone were enough.
private final class Idle: AttentionProcessor {
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {}
  func observe(_ block: BlockView, _ pass: Pass) {}
}

/// A block that loses its stream in one of its two halves.
private struct Careless: JointBlock, JointBlockHalf {
  enum Loss: Codable { case projection, update }
  let loses: Loss

  var halves: [any JointBlockHalf] { [self] }
  func half(for stream: StreamID) -> Int { 0 }
  var attentionPrecision: AttentionPrecision { .f32 }

  func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    if loses == .projection { return [] }
    return inputs.map {
      let heads = $0.tokens.unsqueezed(1)
      return Projection(query: heads, key: heads, value: heads)
    }
  }
  func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? { [] }
}
