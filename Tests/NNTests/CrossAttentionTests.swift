import NN
import Tensor
import TestSupport
import Testing

/// Blocks in which one stream only asks and another is only read.
@Suite struct CrossAttentionTests {
  private let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)
  private let pass = Pass(steps: 1, grid: TokenGrid(height: 2, width: 3))
  private let image = Generator.draw([1, 6, 8]), text = Generator.draw([1, 4, 8], seed: 2)

  private struct Block: JointBlock {
    let weight = Generator.draw([8, 8], seed: 3)
    var halves: [any JointBlockHalf] { [Asking(weight: weight), Read(weight: weight)] }
    func half(for stream: StreamID) -> Int { stream == .image ? 0 : 1 }
    var attentionPrecision: AttentionPrecision { .f32 }
    var attentionScale: Float? { 0.7 }
  }

  private struct Asking: JointBlockHalf {
    let weight: Tensor
    func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
      inputs.map { Projection(query: Tensor.linear($0.tokens, weight: weight).splitHeads(2)) }
    }
    func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? { inputs.map { $0.tokens + $0.mergedAttention } }
  }

  private struct Read: JointBlockHalf {
    let weight: Tensor
    func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
      inputs.map {
        Projection(key: $0.tokens.splitHeads(2), value: Tensor.linear($0.tokens, weight: weight).splitHeads(2))
      }
    }
    func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? { nil }
  }

  private var model: BlockModel {
    BlockModel([(BlockID("cross", 0), Block())]) { stream, _ in
      stream == .image ? [.residualInput, .query, .attentionOutput, .residualOutput] : [.residualInput, .key, .value]
    }
  }

  private func streams() -> [Stream] {
    let none = Tensor(zeros: [1, 0])
    return [
      Stream(.image, tokens: image, conditioning: none, reads: [.text]),
      Stream(.text, tokens: text, conditioning: none, reads: []),
    ]
  }

  private final class Looking: AttentionProcessor {
    var views: [BlockView] = []
    var sites: [Site: Tensor] = [:]
    func install(_ hooks: inout HookPlan, on model: any StreamModel) {
      hooks.observe("cross") { view, _ in self.views.append(view) }
      hooks.read("*") { tensor, site, _ in self.sites[site] = tensor }
    }
  }

  @Test func attentionIsThatOfTheOneToTheOther() throws {
    let looking = Looking(), run = try HookRun([looking], on: model, pass: pass)
    var looked = streams(), plain = streams()
    model(&looked, hooks: run)
    model(&plain)
    try run.finish()
    #expect(looked[.image].tokens.isIdentical(to: plain[.image].tokens))
    #expect(plain[.text].tokens.isIdentical(to: text))
    let weight = Block().weight, query = Tensor.linear(image, weight: weight).splitHeads(2)
    let weights = (Tensor.matmul(query, text.splitHeads(2).transposed()) * 0.7).softmax(-1)
    let value = Tensor.linear(text, weight: weight).splitHeads(2)
    expectClose(plain[.image].tokens, image + Tensor.matmul(weights, value).mergedHeads, close)
    let view = try #require(looking.views.first)
    expectClose(view.probabilities(query: .image), weights, close)
    #expect(view.columns(of: .text, readBy: .image) == 0..<4 && view.columns(of: .image, readBy: .image) == nil)
    #expect(looking.sites.count == model.sites.count)
    let matrix = view.matrix(query: .image, rows: 1..<4), whole = weights[.all, .all, 1..<4]
    expectClose(matrix.columnMass, whole.sum(2), close)
  }

  @Test func aBlockWithoutSuchASiteSaysSo() {
    final class Reading: AttentionProcessor {
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.read("cross.0.text.attentionOutput") { _, _, _ in }
      }
    }
    #expect(throws: HookError.self) { try HookRun([Reading()], on: model, pass: pass) }
  }
}

/// The table of rotations in view, and other positions for queries and keys.
@Suite struct RotationTests {
  private let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)

  private func table(_ places: [Float]) -> RotaryTable {
    .flux(ids: Tensor(places, shape: [places.count, 1]), axes: [4])
  }

  @Test func whatIsRotatedComesBack() {
    let x = Generator.draw([2, 3, 5, 4]), table = table([0, 1, 2, 7, 30])
    expectClose(table.unrotate(table.rotate(x)), x, close)
  }

  @Test func queriesAndKeysCanBePutElsewhere() throws {
    let model = try ToyModel(), input = ToyModel.Input(batch: 1)
    final class Moving: AttentionProcessor {
      let to: RotaryTable?
      var tables: [RotaryTable?] = []
      init(to: RotaryTable?) { self.to = to }
      func install(_ hooks: inout HookPlan, on model: any StreamModel) {
        hooks.attend("*") { call, _, next in
          var call = call
          for index in call.queries.indices where call.queries[index].stream == .image {
            call.queries[index].rotate(by: self.to)
          }
          for index in call.sources.indices where call.sources[index].stream == .image {
            call.sources[index].rotate(by: self.to)
          }
          return next(call)
        }
        hooks.observe("*") { view, _ in self.tables.append(view[.image]?.rotary) }
      }
    }
    var shifted = input
    shifted.rotary = table((0..<5).map { Float(3 * $0) })
    let moving = Moving(to: shifted.rotary)
    let run = try HookRun([moving], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 5)))
    expectClose(model(input, hooks: run), model(shifted), close)
    #expect(moving.tables.count == 2 && moving.tables.allSatisfy { $0 != nil })
  }
}
