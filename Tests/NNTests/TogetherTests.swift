import NN
import Tensor
import Testing

/// Passes of one step through the blocks together, and blocks that are spared.
@Suite struct TogetherTests {
  let model: ToyModel
  let blocks = [BlockID("toy", 0), BlockID("toy", 1)]

  init() throws { model = try ToyModel() }

  private func pass(_ branch: Pass.Branch, step: Int = 0) -> Pass {
    Pass(step: step, steps: 4, branch: branch, grid: TokenGrid(height: 1, width: 5), batch: 2)
  }

  private func run(_ passes: [ModelPass<ToyModel.Input>], cache: BlockCache? = nil) -> [Tensor] {
    model.run(passes, through: zip(model.toyBlocks, blocks), .init(cache: cache)) { input, hooks in
      var streams = [
        Stream(.text, tokens: input.text, conditioning: input.conditioning, reads: [.text, .image]),
        Stream(
          .image, tokens: input.image, conditioning: input.conditioning, rotary: input.rotary, reads: [.text, .image]),
      ]
      hooks?.board(&streams) { rider in
        Stream(rider, tokens: rider.embeddings, conditioning: input.conditioning, batch: input.image.shape[0])
      }
      return (streams, { $0 })
    }
  }

  /// Sees what leaves some blocks, in the passes it is given.
  private final class Watcher: AttentionProcessor {
    let pattern: SitePattern
    let passes: PassFilter
    var isIndependentOfPasses: Bool
    private(set) var seen: [(Pass, Tensor)] = []

    init(_ pattern: SitePattern, in passes: PassFilter = .conditional, independent: Bool = false) {
      (self.pattern, self.passes, isIndependentOfPasses) = (pattern, passes, independent)
    }

    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      hooks.read(pattern, in: passes) { tensor, _, pass in self.seen.append((pass, tensor)) }
    }
  }

  private final class Doubler: AttentionProcessor {
    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      hooks.rewrite("toy.1.image.value") { tensor, _, _ in tensor * 2 }
    }
  }

  private final class Passenger: AttentionProcessor {
    var seen: Tensor?
    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      var generator = Generator(seed: 9)
      hooks.board(
        Rider("guest", embeddings: generator.randn([1, 2, ToyModel.dim]), reads: ["guest", .image]))
      hooks.observe("toy") { block, _ in self.seen = block.streams.first { $0.id == "guest" }?.output }
    }
  }

  @Test func eachPassHasTheBitsItHasAlone() throws {
    let inputs = (0..<3).map { ToyModel.Input(batch: 2, tokens: 5, seed: UInt64($0 + 1)) }
    let branches: [Pass.Branch] = [.conditional, .unconditional, "other"]
    func together(_ processors: [any AttentionProcessor]) throws -> [Tensor] {
      let hooks = try HookRun(processors, on: model, pass: pass(.conditional))
      let passes = zip(inputs, branches).map { ModelPass($0, hooks: hooks.beside(pass($1)), branch: $1) }
      let outputs = run(passes)
      try hooks.finish()
      return outputs
    }
    func alone(_ processors: [any AttentionProcessor]) throws -> [Tensor] {
      let hooks = try HookRun(processors, on: model, pass: pass(.conditional))
      return zip(inputs, branches).map { input, branch in
        hooks.pass = pass(branch)
        return model(input, hooks: hooks)
      }
    }
    let plain = run(zip(inputs, branches).map { ModelPass($0, branch: $1) })
    for (output, input) in zip(plain, inputs) { #expect(output.isIdentical(to: model(input))) }
    for (a, b) in zip(try together([Doubler()]), try alone([Doubler()])) { #expect(a.isIdentical(to: b)) }
    // A rider in one of the passes changes none, and sees what it sees alone.
    let first = Passenger(), second = Passenger()
    for (a, b) in zip(try together([first]), try alone([second])) { #expect(a.isIdentical(to: b)) }
    #expect(try #require(first.seen).isIdentical(to: #require(second.seen)))
    for (a, b) in zip(try together([Passenger()]), plain) { #expect(a.isIdentical(to: b)) }
  }

  @Test func passesOverBlocksOnlyWhereAPassSaysSo() {
    let input = ToyModel.Input(batch: 2)
    let outputs = run([ModelPass(input), ModelPass(input, branch: .skippingLayers, skipped: [blocks[1]])])
    #expect(outputs[0].isIdentical(to: model(input)))
    #expect(outputs[1].isIdentical(to: run([ModelPass(input, skipped: [blocks[1]])])[0]))
    #expect(!outputs[1].isIdentical(to: outputs[0]))
  }

  @Test func aProcessorOfSeveralPassesKeepsThemApartUnlessItDoesNotMind() throws {
    let both = [pass(.conditional), pass(.unconditional)]
    func may(_ processors: any AttentionProcessor...) throws -> Bool {
      try HookRun(processors, on: model, pass: both[0]).mayGoTogether(both)
    }
    #expect(try may(Watcher("toy.*.image.value")))
    #expect(try !may(Watcher("toy.*.image.value", in: .every)))
    #expect(try may(Watcher("toy.*.image.value", in: .every, independent: true)))
    #expect(try !may(Doubler()))
    // One each is nobody's twice.
    #expect(
      try may(
        Watcher("toy.*.image.value"), Watcher("toy.*.text.value", in: PassFilter(branches: [.unconditional]))))
  }

  // MARK: First-block caching

  @Test func aStepLikeTheLastIsSpared() {
    let input = ToyModel.Input(batch: 2), cache = BlockCache(threshold: 0.1)
    let first = run([ModelPass(input)], cache: cache)[0]
    #expect(first.isIdentical(to: model(input)))
    let second = run([ModelPass(input)], cache: cache)[0]
    #expect((second - first).absolute().amax().item < 1e-5)
    #expect((cache.blocks, cache.skippedBlocks) == (4, 1))
    // Another picture is computed, and so is the same one in another branch.
    let other = ToyModel.Input(batch: 2, seed: 7)
    #expect(run([ModelPass(other)], cache: cache)[0].isIdentical(to: model(other)))
    #expect(run([ModelPass(other, branch: .unconditional)], cache: cache)[0].isIdentical(to: model(other)))
    #expect(cache.skippedBlocks == 1)
  }

  @Test func aPassOfSeveralIsSparedAlone() {
    let input = ToyModel.Input(batch: 2), other = ToyModel.Input(batch: 2, seed: 7), cache = BlockCache(threshold: 0.1)
    _ = run([ModelPass(input), ModelPass(input, branch: .unconditional)], cache: cache)
    let outputs = run([ModelPass(input), ModelPass(other, branch: .unconditional)], cache: cache)
    #expect(cache.skippedBlocks == 1)
    #expect((outputs[0] - model(input)).absolute().amax().item < 1e-5)
    #expect(outputs[1].isIdentical(to: model(other)))
  }

  @Test func whatIsWatchedRunsAndChangesNothing() throws {
    let input = ToyModel.Input(batch: 2)
    var near = input
    near.image = input.image + 0.01
    func second(_ processors: [any AttentionProcessor]) throws -> (Tensor, BlockCache) {
      let cache = BlockCache(threshold: 0.5)
      let hooks = processors.isEmpty ? nil : try HookRun(processors, on: model, pass: pass(.conditional))
      _ = run([ModelPass(input, hooks: hooks)], cache: cache)
      return (run([ModelPass(near, hooks: hooks)], cache: cache)[0], cache)
    }
    let (plain, spared) = try second([])
    #expect(spared.skippedBlocks == 1)
    #expect(!plain.isIdentical(to: model(near)))
    let watcher = Watcher("toy.1.image.residualOutput")
    let (watched, ran) = try second([watcher])
    #expect(watched.isIdentical(to: plain))
    #expect(ran.skippedBlocks == 0)
    // What it sees is what the block computes, not what the cache remembers.
    #expect(watcher.seen.count == 2 && watcher.seen[1].1.isIdentical(to: model(near)))
    // A block through which a rider travels runs too.
    #expect(try second([Passenger()]).1.skippedBlocks == 0)
    #expect(try second([Watcher("toy.0.image.value")]).1.skippedBlocks == 1)
    // What changes the model is computed.
    let (changed, full) = try second([Doubler()])
    #expect(full.skippedBlocks == 0)
    let hooks = try HookRun([Doubler()], on: model, pass: pass(.conditional))
    #expect(changed.isIdentical(to: model(near, hooks: hooks)))
  }

  @Test func whatCouldNeverSkipSaysWhy() throws {
    let passes = (0..<4).map { pass(.conditional, step: $0) }
    func obstacle(_ processors: any AttentionProcessor...) throws -> String? {
      let run = processors.isEmpty ? nil : try HookRun(processors, on: model, pass: passes[0])
      return BlockCache.obstacle(run, passes, blocks: blocks)
    }
    #expect(try obstacle() == nil)
    #expect(try obstacle(Watcher("toy.0.image.value")) == nil)
    #expect(try obstacle(Watcher("toy.1.image.value"))?.contains("looks at the last block, toy.1") == true)
    #expect(try obstacle(Watcher("toy.1.image.value", in: PassFilter(steps: [1, 2]))) == nil)
    #expect(try obstacle(Doubler())?.contains("changes what blocks compute") == true)
    #expect(BlockCache.obstacle(nil, [passes[0]], blocks: blocks)?.contains("one step") == true)
  }

  @Test func theCacheGoesOnInAnotherProcess() {
    let input = ToyModel.Input(batch: 2), cache = BlockCache(threshold: 0.1), other = BlockCache(threshold: 0.1)
    _ = run([ModelPass(input)], cache: cache)
    other.recall(cache.memory)
    let a = run([ModelPass(input)], cache: cache)[0], b = run([ModelPass(input)], cache: other)[0]
    #expect(a.isIdentical(to: b) && other.skippedBlocks == 1)
  }
}
