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
    try HookRun(processors, on: model, pass: Pass(grid: grid, batch: 2))
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
      throws: HookError.unknownSite(
        pattern: "toy.2", processor: "Change",
        examples: ["toy.0.text.residualInput", "toy.0.text.modulated"])
    ) { try install([Change("toy.2") { $0 }]) }
    #expect(throws: HookError.self) { try install([Change("toy.0.guest") { $0 }]) }
    #expect(throws: HookError.duplicateStream(.image, processor: "Guest")) { try install([Guest(.image)]) }
    #expect(throws: HookError.duplicateStream("guest", processor: "Guest")) { try install([Guest(), Guest()]) }
    _ = try install([Guest(), Change("toy.0.guest.query") { $0 }])
  }

  @Test func aNamedSiteThatNeverFiredIsAnErrorAtTheEnd() throws {
    let run = try install([Change("toy.0") { $0 }, Change("toy.1.text.residualInput") { $0 }])
    #expect(throws: HookError.neverFired(pattern: "toy.0", processor: "Change")) { try run.finish() }
    _ = model(input, hooks: run)
    try run.finish()
    let absent = try install([Guest(boards: false), Change("toy.0.guest.query") { $0 }])
    _ = model(input, hooks: absent)
    #expect(throws: HookError.neverFired(pattern: "toy.0.guest.query", processor: "Change")) { try absent.finish() }
  }
}

// MARK: Processors

private final class Log {
  var lines: [String] = []
}

/// Writes down every call at the last block.
private final class Logger: AttentionProcessor {
  let name: String
  let patterns: [SitePattern]
  private let log: Log

  init(_ name: String, _ log: Log, sites: SitePattern = "toy.1.image.attentionOutput") {
    self.name = name
    self.log = log
    patterns = [sites]
  }

  func watches(_ block: BlockID) -> Bool { block.layer == 1 }
  func replacesAttention(_ block: BlockID) -> Bool { block.layer == 1 }
  func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor {
    log.lines.append("\(name) rewrites \(site)")
    return tensor
  }
  func read(_ tensor: Tensor, at site: Site, _ pass: Pass) { log.lines.append("\(name) reads \(site)") }
  func attend(_ call: AttentionCall, _ pass: Pass, next: (AttentionCall) -> [Tensor]) -> [Tensor] {
    log.lines.append("\(name) attends \(call.block)")
    defer { log.lines.append("\(name) attended \(call.block)") }
    return next(call)
  }
  func edit(_ block: inout BlockView, _ pass: Pass) { log.lines.append("\(name) edits \(block.block)") }
  func observe(_ block: BlockView, _ pass: Pass) { log.lines.append("\(name) observes \(block.block)") }
}

/// Rewrites a site and keeps what it reads there.
private final class Change: AttentionProcessor {
  let patterns: [SitePattern]
  private let change: (Tensor) -> Tensor
  private(set) var seen: [Tensor] = []

  init(_ pattern: SitePattern, _ change: @escaping (Tensor) -> Tensor) {
    patterns = [pattern]
    self.change = change
  }

  func rewrite(_ tensor: Tensor, at site: Site, _ pass: Pass) -> Tensor { change(tensor) }
  func read(_ tensor: Tensor, at site: Site, _ pass: Pass) { seen.append(tensor) }
}

/// Edits the image's outputs of the first block and keeps what it observes of them.
private final class Edit: AttentionProcessor {
  private let change: (Tensor) -> Tensor
  private(set) var observed: [Tensor] = []

  init(_ change: @escaping (Tensor) -> Tensor) { self.change = change }

  func watches(_ block: BlockID) -> Bool { block.layer == 0 }
  func edit(_ block: inout BlockView, _ pass: Pass) {
    guard let output = block[.image]?.output else { return }
    block[.image]?.output = change(output)
  }
  func observe(_ block: BlockView, _ pass: Pass) { observed += block[.image].map { [$0.output] } ?? [] }
}

/// Changes what attention gives in the first block.
private final class Attend: AttentionProcessor {
  private let change: (Tensor) -> Tensor
  init(_ change: @escaping (Tensor) -> Tensor) { self.change = change }

  func replacesAttention(_ block: BlockID) -> Bool { block.layer == 0 }
  func attend(_ call: AttentionCall, _ pass: Pass, next: (AttentionCall) -> [Tensor]) -> [Tensor] {
    next(call).map(change)
  }
}

private final class Guest: AttentionProcessor {
  let riderIDs: [StreamID]
  private let boards: Bool

  init(_ id: StreamID = "guest", boards: Bool = true) {
    riderIDs = [id]
    self.boards = boards
  }

  func riders(for pass: Pass) -> [Rider] {
    boards ? [Rider(riderIDs[0], embeddings: Tensor(ones: [1, 2, ToyModel.dim]), reads: [riderIDs[0], .image])] : []
  }
}
