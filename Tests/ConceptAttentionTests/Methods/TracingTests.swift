import ConceptAttention
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Probes, means, edges, traces, paths and chosen heads.
@Suite struct TracingTests {
  private let model: MethodModel

  init() throws { model = try MethodModel(Golden.fixture("methods/knockout-flux-schnell")) }

  private func other(_ processors: [any AttentionProcessor] = []) throws -> Tensor {
    try model.once(processors, inputs: model.inputs.mapValues { $0 * 0.5 })
  }

  @Test func aProbeFindsTheMapThatMadeItsTargets() throws {
    let x = Generator.draw([60, 5]), weight = Generator.draw([5, 2], seed: 2)
    let targets = Tensor.matmul(x, weight) + Tensor([1, -2], shape: [2])
    let probe = try LinearProbe(x, targets: targets, ridge: 0)
    expectClose(probe.weight, weight, Tolerance(absolute: 1e-5))
    expectClose(probe.intercept, Tensor([1, -2], shape: [2]), Tolerance(absolute: 1e-5))
    #expect(probe.explainedVariance(x, targets: targets) > 0.9999)
    // The ridge's solution makes the gradient vanish: Xᵀ(XW - Y) + ridge W = 0 on centred numbers.
    let held = try LinearProbe(x, targets: targets, ridge: 30)
    let centred = x - x.mean(0), rest = Tensor.matmul(centred, held.weight) - (targets - targets.mean(0))
    let gradient = Tensor.matmul(centred.transposed(), rest) + held.weight * 30
    expectClose(gradient, Tensor(zeros: [5, 2]), Tolerance(absolute: 1e-3))
    let labels = (0..<60).map { x[$0, 1].item > 0 ? 1 : 0 }
    let classes = try LinearProbe(x, labels: labels, classes: 2)
    #expect(classes.accuracy(x, labels: labels) > 0.85)
    // More dimensions than vectors: only with a ridge.
    #expect(throws: (any Error).self) {
      try LinearProbe(Tensor(ones: [3, 5]), targets: Tensor(ones: [3, 1]), ridge: 0)
    }
  }

  @Test func aDifferenceOfMeansLeadsFromTheOneToTheOther() throws {
    let site = "double.1.image.residualOutput", with = ActivationMeans("\(site)"), without = ActivationMeans("\(site)")
    _ = try other([with])
    _ = try model.once([without])
    let difference = try DifferenceOfMeans(at: site, with: with, without: without)
    let a = try #require(with[site]), b = try #require(without[site])
    #expect(difference.direction.isIdentical(to: a - b))
    // Steered by it, the mean of the one is that of the other.
    let steered = ActivationMeans("\(site)")
    _ = try model.once([difference.steering(), steered])
    expectClose(try #require(steered[site]), a, Tolerance(absolute: 1e-5, relativeToMax: 1e-5))
    expectClose(difference.projections(a - b), Tensor(1), Tolerance(absolute: 1e-5))
    let unit = try DifferenceOfMeans(at: site, with: with, without: without, length: 2)
    #expect(abs(unit.direction.squared().sum().item - 4) < 1e-4)
    #expect(throws: HookError.self) { try DifferenceOfMeans(at: "double.0", with: with, without: without) }
  }

  @Test func meansGoOnOverRunsAndFiles() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let site = "double.0.image.attentionOutput", cache = ActivationCache("\(site)")
    let means = ActivationMeans("\(site)", continues: true)
    _ = try model.once([means, cache])
    let first = try #require(cache[site, step: 0])
    try means.save(to: path)
    let read = try ActivationMeans(contentsOf: path)
    _ = try other([read, cache])
    let second = try #require(cache[site, step: 0])
    let expected = (first.mean(0, 2) + second.mean(0, 2)) / 2
    expectClose(try #require(read[site]), expected, Tolerance(absolute: 1e-6, relativeToMax: 1e-6))
    #expect(throws: (any Error).self) { try ActivationMeans(contentsOf: model.golden.path("io.safetensors")) }
  }

  @Test func channelsOfTokensAreTakenOut() throws {
    let site = "single.0.image.mlpHidden", plain = ActivationCache("\(site)"), after = ActivationCache("\(site)")
    let means = ActivationMeans("\(site)")
    _ = try model.once([plain, means])
    let before = try #require(plain[site, step: 0]), mean = try #require(means[site])
    func ablated(_ replacement: ActivationAblation.Replacement, channels: [Int]?, tokens: [Int]?) throws -> Tensor {
      _ = try model.once([
        ActivationAblation("\(site)", channels: channels, tokens: tokens, by: replacement), after,
      ])
      return try #require(after[site, step: 0])
    }
    var expected = before
    for channel in [3, 7] { expected[0, 2, channel] = Tensor(0) }
    #expect(try ablated(.zero, channels: [3, 7], tokens: [2]).isIdentical(to: expected))
    expected = before
    for token in 0..<before.shape[1] { expected[0, token, 5] = mean[5] }
    expectClose(try ablated(.means(means), channels: [5], tokens: nil), expected, Tolerance(absolute: 1e-6))
    expectClose(try ablated(.mean, channels: [5], tokens: nil), expected, Tolerance(absolute: 1e-6))
    #expect(throws: HookError.self) { try model.once([ActivationAblation("\(site)", channels: [])]) }
  }

  @Test func anEdgeCountsAsMuchAsItsKnockoutChanges() throws {
    let plain = try model.once()
    let table = try EdgeAttribution.measure(on: model.transformer) { try model.once($0) }
    #expect(table.change.shape == [model.blocks.count, 4, 1])
    let block = model.blocks[1], edge = try #require(table.edges.firstIndex(of: .init(query: .image, key: .text)))
    let cut = try model.once([AttentionKnockout([.init(.image, sees: .text, in: BlockPattern(block))])])
    #expect(table.change[1, edge].isIdentical(to: HeadAttribution.relativeChange(cut, plain)))
    let best = try #require(table.ranking.first)
    let row = try #require(table.blocks.firstIndex(of: best.block)),
      column = try #require(table.edges.firstIndex(of: best.edge))
    #expect(table.change[row, column].item == table.change.amax().item)
    #expect(throws: HookError.self) { try model.once([AttentionKnockout([])]) }
  }

  @Test func tracesFindWhatEveryThingPassesThrough() throws {
    let last = try #require(model.blocks.last), site = Site(last, .image, .residualOutput)
    let text = Site(last, .text, .residualOutput)
    let trace = try CausalTracing.measure(
      at: [site, text], tokens: [nil, [0]], source: other, target: { try model.once($0) })
    // The image tokens that leave the last block are all that the output is made of, but for the conditioning.
    #expect(trace.moved[0, 0, 0].item > 0.5 && trace.moved[1].absolute().amax().item == 0)
    #expect(trace.moved[0, 1, 0].item < trace.moved[0, 0, 0].item)
    let strongest = try #require(trace.strongest)
    #expect(strongest.site == site && strongest.tokens == nil)
  }

  @Test func aPathThatIsClosedCarriesNothing() throws {
    let sender = Site(BlockID("double", 0), .text, .residualOutput)
    let receiver = Site(BlockID("double", 1), .image, .attentionProjected)
    let cache = ActivationCache(SitePattern(sender))
    _ = try other([cache])
    func output(freezing frozen: [SitePattern]) throws -> Tensor {
      try PathPatching.output(
        from: sender, by: [receiver], freezing: frozen, source: cache, on: model.transformer
      ) { try model.once($0) }
    }
    let plain = try model.once(), open = try output(freezing: [])
    #expect(!open.isIdentical(to: plain))
    // Image tokens see the prompt's keys and values; where these stay, nothing comes through.
    let closed = try output(freezing: ["double.1.text.key", "double.1.text.value"])
    expectClose(closed, plain, Tolerance(absolute: 1e-6))
  }

  @Test func headsArePickedOneByOne() {
    let all = HeadHunter.all(of: [BlockID("double", 0), BlockID("double", 1)], heads: 2)
    // The second is best alone; the first is best beside it; more do harm.
    func score(_ heads: [HeadHunter.Head]) -> Float {
      heads.reduce(0) { $0 + [0: 2, 1: 3, 2: -1, 3: -5][all.firstIndex(of: $1) ?? 0, default: 0] }
    }
    let found = HeadHunter(among: all, count: 3, score: score)
    #expect(found.heads == [all[1], all[0]] && found.scores == [3, 5])
    #expect(HeadHunter(among: all, count: 3, stopsEarly: false, score: score).heads.count == 3)
    #expect(found.choices.map(\.heads) == [[0, 1]])
  }

  @Test func edgesThatAreNotThereAreErrors() throws {
    let knockout = AttentionKnockout([
      .init(.image, sees: .text, in: "double.0"), .init(.text, sees: .image, in: "double.1"),
    ])
    #expect(throws: Never.self) { try model.once([knockout]) }
    #expect(throws: HookError.self) { try model.once([TACA(during: .noise(2))]) }
  }
}
