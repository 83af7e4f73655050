import ConceptAttention
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Every site of every family: looking changes no bit, changing reaches the output, and sites agree with one another.
@Suite struct SiteTests {
  static let cases = [
    "knockout-flux-schnell", "taca-flux-dev", "knockout-sd35-medium-dual", "seg4diff-sd3-medium",
    "x0-lens-cogvideox-5b",
  ]

  private func model(_ name: String) throws -> MethodModel { try MethodModel(Golden.fixture("methods/\(name)")) }

  private func kept(_ cache: ActivationCache, _ site: Site) throws -> Tensor {
    try #require(cache["\(site)", step: 0], "\(site)")
  }

  @Test(arguments: cases) func lookingAtEverySiteChangesNoBit(_ name: String) throws {
    let model = try model(name), cache = ActivationCache("*")
    let lens = OutputLens(), deltas = Deltas()
    let plain = try model.once(), looked = try model.once([cache, lens, deltas])
    #expect(looked.isIdentical(to: plain))
    #expect(cache.tensors.count == model.transformer.sites.count)
    #expect(deltas.count == model.transformer.blocks.count)
  }

  @Test(arguments: cases) func changingASiteReachesTheOutput(_ name: String) throws {
    let model = try model(name), plain = try model.once()
    let last = try #require(model.blocks.last)
    for site in model.transformer.sites {
      // Text leaves the last block for nowhere; keys and values of it are still looked at. A query that looks from there, and
      // what follows it, is not.
      let isRead: Set<Site.Point> = [
        .residualInput, .conditioning, .attentionShift, .attentionScale, .modulated, .key, .value,
      ]
      if site.block == last, site.stream == .text, !isRead.contains(site.point) { continue }
      let changed = try model.once([Doubling(SitePattern(site))])
      #expect(!changed.isIdentical(to: plain), "\(site)")
    }
  }

  @Test(arguments: cases) func sitesAgreeWithOneAnother(_ name: String) throws {
    let model = try model(name), cache = ActivationCache("*")
    var heads: [Site: Tensor] = [:]
    var biases: [BlockID: Tensor] = [:]
    let reader = BlockReader { view, _ in
      for stream in view.streams {
        heads[Site(view.id, stream.id, .attentionProjected)] = stream.projectedHeads
        if stream.id == .image { biases[view.id] = stream.projection?.bias }
      }
    }
    _ = try model.once([cache, reader])
    let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)
    var compared = 0
    for block in model.blocks {
      func tensor(_ point: Site.Point) -> Tensor? {
        cache[Site(block, .image, point).description, step: 0]
      }
      guard let projected = tensor(.attentionProjected), let input = tensor(.residualInput),
        let gate = tensor(.attentionGate), let middle = tensor(.residualMiddle), let output = tensor(.residualOutput),
        let mlp = tensor(.mlpOutput), let mlpGate = tensor(.mlpGate)
      else { continue }
      compared += 1
      let isDual = tensor(.dualAttentionOutput) != nil
      if !isDual { expectClose(input + projected * gate.unsqueezed(1), middle, close, "\(block) middle") }
      expectClose(middle + mlp * mlpGate.unsqueezed(1), output, close, "\(block) output")
      let shares = try #require(heads[Site(block, .image, .attentionProjected)]), bias = try #require(biases[block])
      expectClose(shares.sum(1) + bias, projected, close, "\(block) shares of heads")
    }
    #expect(compared > 0)
  }

  @Test func singleBlocksTellWhatAttentionAndMLPGive() throws {
    let model = try model("knockout-flux-schnell"), cache = ActivationCache("single")
    var shares: [BlockID: Tensor] = [:]
    let reader = BlockReader { view, _ in
      guard let image = view[.image], let bias = image.projection?.bias, view.id.family == "single" else { return }
      #expect(image.sharesProjection)
      shares[view.id] = image.projectedHeads.map { $0.sum(1) + bias }
    }
    _ = try model.once([cache, reader])
    let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)
    for block in model.blocks where block.family == "single" {
      func tensor(_ point: Site.Point) throws -> Tensor { try kept(cache, Site(block, .image, point)) }
      let branch = try tensor(.attentionProjected) + tensor(.mlpOutput), gate = try tensor(.attentionGate)
      expectClose(
        try tensor(.residualInput) + branch * gate.unsqueezed(1), try tensor(.residualOutput), close, "\(block)")
      expectClose(try #require(shares[block]), try tensor(.attentionProjected), close, "\(block) heads")
    }
    #expect(!shares.isEmpty)
  }

  @Test func theSecondAttentionIsInView() throws {
    final class Dual: AttentionProcessor {
      var views: [BlockView] = []
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.attend("*", part: .dual) { call, _, next in
          var call = call
          call.scaleLogits(query: .image, key: .image, by: 2)
          return next(call)
        }
        hooks.observe("*", part: .dual) { view, _ in self.views.append(view) }
      }
    }
    let model = try model("knockout-sd35-medium-dual"), dual = Dual(), cache = ActivationCache("*")
    _ = try model.once([dual, cache])
    let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)
    #expect(!dual.views.isEmpty)
    for view in dual.views {
      func tensor(_ point: Site.Point) throws -> Tensor { try kept(cache, Site(view.id, .image, point)) }
      let weights = view.probabilities(query: .image)
      expectClose(Tensor.matmul(weights, try tensor(.dualValue)), try tensor(.dualAttentionOutput), close)
      let middle = try tensor(.residualInput) + tensor(.attentionProjected) * tensor(.attentionGate).unsqueezed(1)
      let second = try tensor(.dualProjected) * tensor(.dualGate).unsqueezed(1)
      expectClose(middle + second, try tensor(.residualMiddle), close)
    }
    let flux = try MethodModel(Golden.fixture("methods/knockout-flux-schnell"))
    #expect(throws: HookError.self) { try flux.once([Dual()]) }
  }

  @Test func patchesTakeTokensAndSitesThatAreChosen() throws {
    let model = try model("knockout-flux-schnell"), first = "double.0.image.residualOutput"
    let second = "double.1.image.residualOutput", cache = ActivationCache("\(first)", "\(second)")
    let other = model.inputs.mapValues { $0 * 0.5 }
    _ = try model.once([cache], inputs: other)
    let theirs = try #require(cache[first, step: 0]), after = ActivationCache("\(second)")
    let patch = ActivationPatch(from: cache, "\(second)", tokens: [3, 5]) { _ in first }
    let plain = ActivationCache("\(second)")
    _ = try model.once([plain])
    _ = try model.once([patch, after])
    let before = try #require(plain[second, step: 0]), found = try #require(after[second, step: 0])
    for token in 0..<before.shape[1] {
      let expected = [3, 5].contains(token) ? theirs : before
      #expect(found[.all, token].isIdentical(to: expected[.all, token]), "token \(token)")
    }
    #expect(patch.replaced == 1 && patch.missed == 0)
    let late = ActivationPatch(from: cache, "\(second)", in: PassFilter(steps: [4]))
    #expect(throws: HookError.self) { try model.once([late]) }
    #expect(throws: HookError.self) { try model.once([ActivationPatch(from: cache, tokens: [])]) }
  }

  @Test func theSecondAttentionGoesThroughTheSameDoor() throws {
    final class Dual: AttentionProcessor {
      let factor: Float
      private(set) var blocks: [BlockID] = []
      init(_ factor: Float) { self.factor = factor }
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.attend("*", part: .dual) { call, _, next in
          self.blocks.append(call.block)
          var call = call
          call.scaleLogits(query: .image, key: .image, by: self.factor)
          return next(call)
        }
      }
    }
    let model = try model("knockout-sd35-medium-dual"), plain = try model.once()
    let one = Dual(1), two = Dual(2), cache = ActivationCache("*.*.image.dualAttentionOutput")
    #expect(try model.once([one]).isIdentical(to: plain))
    #expect(try !model.once([two, cache]).isIdentical(to: plain))
    #expect(!one.blocks.isEmpty && cache.tensors.count == one.blocks.count)
  }
}

private final class Doubling: AttentionProcessor {
  private let pattern: SitePattern
  init(_ pattern: SitePattern) { self.pattern = pattern }
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.rewrite(pattern) { tensor, _, _ in tensor * 2 }
  }
}

private final class Deltas: AttentionProcessor {
  private(set) var count = 0
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.readDelta("*", of: .image) { delta, site, _ in
      if delta.absolute().amax().item > 0 { self.count += 1 }
    }
  }
}
