import ConceptAttention
import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

func keepResiduals(_ prompt: String, in folder: String) throws -> ActivationCache {
  let cache = ActivationCache(
    "double.*.image.residualOutput", "t5.*.text.residualOutput", in: PassFilter(steps: [0, 2]),
    keeping: [.tokens([0, 1, 2, 3]), .type(.bf16)], writingTo: folder)
  var request = GenerationRequest(prompt)
  request.steps = 4
  _ = try openPipeline("tiny-flux").generate(request, processors: [cache])
  return cache
}

/// What caches keep, where they keep it, and by whose names it goes elsewhere.
@Suite struct ActivationCacheTests {
  private let pipeline: any DiffusionPipeline
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
  private let site = "double.1.image.residualOutput", heads = "double.1.image.attentionOutput"

  init() throws { pipeline = try openPipeline("tiny-flux") }

  private func run(_ processors: [any AttentionProcessor], steps: Int = 1) throws {
    var request = GenerationRequest("a boat on the sea")
    (request.width, request.height, request.steps, request.trueCFG) = (64, 64, steps, 1)
    _ = try pipeline.generate(request, processors: processors)
  }

  private func cache(_ reductions: ActivationReduction...) -> ActivationCache {
    ActivationCache([SitePattern(site), SitePattern(heads)], keeping: reductions)
  }

  @Test func reductionsAreThoseOfTheWholeTensor() throws {
    let whole = cache(), projection = Generator.draw([128, 3])
    try run([whole])
    let full = try #require(whole[site, step: 0]), byHead = try #require(whole[heads, step: 0])
    let dim = full.shape[2]
    let narrow = ActivationCache("\(site)", keeping: [.tokens([3, 0]), .projection(projection), .type(.bf16)])
    let mean = cache(.tokenMean), some = cache(.tokens([5]))
    try run([narrow, mean, some])
    #expect(dim == 128)
    let expected = Tensor.matmul(full.take(1, [3, 0]), projection).converted(to: .bf16)
    #expect(try #require(narrow[site, step: 0]).isIdentical(to: expected))
    #expect(try #require(mean[site, step: 0]).isIdentical(to: full.mean(1)))
    #expect(try #require(mean[heads, step: 0]).isIdentical(to: byHead.mean(2)))
    #expect(try #require(some[heads, step: 0]).isIdentical(to: byHead.take(2, [5])))
  }

  @Test func reductionsThatFitNothingAreErrors() {
    for bad: [ActivationReduction] in [
      [.tokens([])], [.tokens([-1])], [.projection(Tensor(zeros: [4]))], [.tokenMean, .tokens([1])],
    ] {
      #expect(throws: HookError.self) { try run([ActivationCache("\(site)", keeping: bad)]) }
    }
  }

  @Test func aFolderGrowsWhileTheRunGoesOn() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    final class Counting: AttentionProcessor {
      let folder: String
      var files: [Int] = []
      init(_ folder: String) { self.folder = folder }
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.read("single.0.image.residualInput") { _, _, _ in
          self.files.append((try? FileManager.default.contentsOfDirectory(atPath: self.folder).count) ?? -1)
        }
      }
    }
    let memory = ActivationCache("\(site)", "\(heads)"), counting = Counting(folder)
    let disk = ActivationCache("\(site)", "\(heads)", writingTo: folder)
    try run([memory, disk, counting], steps: 2)
    #expect(counting.files == [2, 4])
    for (key, tensor) in memory.tensors {
      #expect(try #require(disk.tensors[key]).isIdentical(to: tensor), "\(key)")
    }
    let read = try ActivationCache(contentsOf: folder)
    #expect(Set(read.tensors.keys) == Set(memory.tensors.keys))
    // A patch from the disk is one from memory.
    let patched = ActivationCache("single.0.image.residualInput"),
      again = ActivationCache("single.0.image.residualInput")
    try run([ActivationPatch(from: read, "\(site)"), patched], steps: 2)
    try run([ActivationPatch(from: memory, "\(site)"), again], steps: 2)
    let (key, tensor) = try #require(patched.tensors.first)
    #expect(try #require(again.tensors[key]).isIdentical(to: tensor))
    #expect(throws: ActivationCacheError.self) { try run([ActivationCache("\(site)", writingTo: folder)]) }
  }

  @Test func aPatchThatFindsNothingIsAnError() throws {
    let cache = cache()
    try run([cache])
    #expect(throws: HookError.self) {
      try run([ActivationPatch(from: cache, [SitePattern(site)]) { site, _ in .init("\(site)", step: 7) }])
    }
    #expect(throws: HookError.self) {
      try run([ActivationPatch(from: cache, "\(site)", tokens: [1, 2], sourceTokens: [1])])
    }
  }

  @Test func tokensCanComeFromElsewhere() throws {
    let cache = ActivationCache("\(site)")
    try run([cache])
    let after = ActivationCache("\(site)")
    try run([ActivationPatch(from: cache, "\(site)", tokens: [0, 1], sourceTokens: [4, 2]), after])
    let plain = try #require(cache[site, step: 0]), found = try #require(after[site, step: 0])
    #expect(found.isIdentical(to: plain.take(1, [4, 2] + Array(2..<plain.shape[1]))))
  }

  @Test func theArticleShowsCodeThatRuns() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let cache = try keepResiduals("a boat on the sea", in: folder)
    let residual = try #require(cache["double.0.image.residualOutput", step: 2])
    #expect(residual.dtype == .bf16 && residual.shape[1] == 4)
    #expect(cache["t5.0.text.residualOutput", step: 0] != nil && cache["t5.0.text.residualOutput", step: 2] == nil)
    let path = "Sources/ConceptAttention/ConceptAttention.docc/Activations.md"
    let blocks = try Article.blocks("swift", of: path)
    let source = try Article.source("Tests/ConceptAttentionTests/ActivationCacheTests.swift")
    #expect(blocks.count == 1)
    for block in blocks { #expect(source.contains(block), "the article's code differs from the test's") }
  }

  // MARK: Names

  @Test(arguments: ["knockout-flux-schnell", "knockout-sd35-medium-dual", "x0-lens-cogvideox-5b"])
  func namesAreThoseOfDiffusersModules(_ name: String) throws {
    let model = try MethodModel(Golden.fixture("methods/\(name)")), cache = ActivationCache("*")
    _ = try model.once([cache])
    let path = Article.package().appendingPathComponent("Tests/Fixtures/activations/module-tensors.json")
    let all = try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: [String: [Any]]]
    let expected = try #require(all?[name])
    let found = cache.named(.diffusers, on: model.transformer, step: 0)
    var compared = 0
    for (name, tensor) in found {
      guard let summary = expected[name] else {
        // Sites that no module has keep their own names.
        #expect(model.transformer.sites.contains { $0.description == name }, "\(name)")
        continue
      }
      compared += 1
      #expect(summary[0] as? [Int] == tensor.shape, "\(name)")
      let values = tensor.floats.map { Double($0) }, size = values.map { abs($0) }.max() ?? 0
      let ramp = values.enumerated().reduce(0) { $0 + $1.element * cos(Double($1.offset)) } / Double(values.count)
      let mean = values.reduce(0, +) / Double(values.count)
      #expect(abs(mean - (summary[1] as? Double ?? .nan)) < 1e-4 * size, "\(name): mean \(mean), \(summary)")
      #expect(abs(ramp - (summary[2] as? Double ?? .nan)) < 1e-4 * size, "\(name): ramp \(ramp), \(summary)")
    }
    #expect(compared >= 15 * model.blocks.count, "\(compared)")
    for name in cache.named(.nnsight, on: model.transformer, step: 0).keys where name.contains("[") {
      #expect(name.hasPrefix("transformer."))
    }
  }

  @Test func transformerLensCountsBlocksThroughTheModel() throws {
    let cache = ActivationCache("single.0.image.value", "double.0.text.residualInput", "double.0.text.mlpGate")
    try run([cache])
    let named = cache.named(.transformerLens, on: pipeline.transformer, step: 0)
    let first = pipeline.transformer.blocks.firstIndex(of: BlockID("single", 0)) ?? -1
    #expect(
      Set(named.keys)
        == ["image.blocks.\(first).attn.hook_v", "text.blocks.0.hook_resid_pre", "double.0.text.mlpGate"])
    let value = try #require(cache["single.0.image.value", step: 0])
    #expect(named["image.blocks.\(first).attn.hook_v"]?.shape == value.transposed(1, 2).shape)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let paths = try cache.export(.transformerLens, on: pipeline.transformer, to: folder)
    #expect(paths == ["\(folder)/step-0.conditional.safetensors"])
    #expect(Set(try SafetensorsFile(path: paths[0]).names) == Set(named.keys))
  }
}
