import NN
import Tensor
import TestSupport
import Testing

/// What processors change of who sees whom, and what a view of the block then says.
@Suite struct AttentionCallTests {
  private let model: ToyModel
  private let input = ToyModel.Input(batch: 2)
  private let pass = Pass(steps: 1, grid: TokenGrid(height: 1, width: 5), batch: 2)
  private let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)

  init() throws { model = try ToyModel() }

  private func run(_ processors: [any AttentionProcessor]) throws -> Tensor {
    let run = try HookRun(processors, on: model, pass: pass)
    defer { try? run.finish() }
    return model(input, hooks: run)
  }

  /// The first block's view with a change of its calls.
  private func view(_ change: @escaping (inout AttentionCall) -> Void) throws -> BlockView {
    let viewer = Viewer()
    _ = try run([Changing(change), viewer])
    return try #require(viewer.view)
  }

  @Test func aBiasOfZeroAndAFactorOfOneChangeNoBit() throws {
    let plain = model(input)
    #expect(try run([Changing { _ in }]).isIdentical(to: plain))
    #expect(
      try run([
        Changing {
          $0.addBias(Tensor(zeros: [1, 1, 1, 1]), query: .image, key: .text)
          $0.scaleLogits(query: .text, key: .image, by: 1)
        }
      ]).isIdentical(to: plain))
  }

  @Test func theViewTellsWhatThePassUsed() throws {
    let changes: [(inout AttentionCall) -> Void] = [
      { _ in },
      { $0.scaleLogits(query: .image, key: .text, by: 1.7) },
      { $0.forbid(query: .image, key: .text) },
      { $0.amplify([1], of: .text, for: .image, by: 5) },
      { $0.addBias(Generator.draw([2, 3, 5, 3]), query: .image, key: .text) },
      { $0.scale = 0.2 },
      { $0.queries[1].tensor = $0.queries[1].tensor * 2 },
    ]
    for (index, change) in changes.enumerated() {
      let view = try view(change), image = try #require(view[.image])
      let weights = view.probabilities(query: .image)
      expectClose(weights.sum(-1), Tensor(ones: [2, 3, 5]), close, "rows of change \(index)")
      let values = concatenated(view.streams.map(\.value), axis: 2)
      expectClose(Tensor.matmul(weights, values), image.output, close, "outputs of change \(index)")
      let both = concatenated(
        [view.logits(query: .image, key: .text), view.logits(query: .image, key: .image)], axis: -1)
      expectClose(both.softmax(-1), weights, close, "logits of change \(index)")
    }
  }

  @Test func rowsAndColumnsAreThoseOfTheWhole() throws {
    let view = try view { $0.addBias(Generator.draw([1, 1, 5, 5]), query: .image, key: .image) }
    let whole = view.probabilities(query: .image)
    let columns = try #require(view.columns(of: .image, readBy: .image))
    #expect(columns == 3..<8 && view.columns(of: "guest", readBy: .image) == nil)
    let part = view.probabilities(query: .image, rows: 1..<3, columns: columns)
    #expect(part.isIdentical(to: whole[.all, .all, 1..<3, 3..<8].contiguous()))
    let logits = view.logits(query: .image, key: .image, rows: 1..<3, columns: 2..<4)
    #expect(logits.isIdentical(to: view.logits(query: .image, key: .image)[.all, .all, 1..<3, 2..<4].contiguous()))
  }

  @Test func anAmplifiedTokenWeighsAsManyTimesMoreBeforeTheNormalisation() throws {
    let plain = try view { _ in }.probabilities(query: .image)
    let loud = try view { $0.amplify([1], of: .text, for: .image, by: 3) }.probabilities(query: .image)
    let ratio = (loud / plain)[.all, .all, .all, 1] / (loud / plain)[.all, .all, .all, 0]
    expectClose(ratio, Tensor(full: [2, 3, 5], 3), close)
    expectClose(
      try view { $0.amplify([1], of: .text, for: .image, by: 3) }.probabilities(query: .text),
      try view { _ in }.probabilities(query: .text), close, "another stream's queries")
  }

  @Test func aRegionCanBeForbiddenTokenByToken() throws {
    var mask = Tensor(zeros: [1, 1, 5, 3], dtype: .bool)
    mask[0, 0, 2, 1] = Tensor(1).converted(to: .bool)
    let weights = try view { $0.forbid(mask, query: .image, key: .text) }.probabilities(query: .image)
    #expect(weights[.all, .all, 2, 1].sum().item == 0 && weights[.all, .all, 1, 1].amin().item > 0)
    expectClose(weights.sum(-1), Tensor(ones: [2, 3, 5]), close)
  }

  @Test func aStreamThatSeesNothingGetsZeros() throws {
    let view = try view {
      $0.forbid(query: .image, key: .text)
      $0.forbid(query: .image, key: .image)
    }
    #expect(view[.image]?.output.absolute().amax().item == 0)
    #expect(view[.text]?.output.absolute().amax().item != 0)
  }

  @Test func droppedValuesKeepTheirShareAndGiveNothing() throws {
    let view = try view { $0.dropValues(query: .image, key: .text) }, image = try #require(view[.image])
    let weights = view.probabilities(query: .image)
    expectClose(weights, try self.view { _ in }.probabilities(query: .image), close)
    expectClose(Tensor.matmul(weights[.all, .all, .all, 3...], image.value), image.output, close)
  }

  @Test func attentionOverOtherStreamsKeepsWhatIsChanged() throws {
    let view = try view { $0.scaleLogits(query: .image, key: .text, by: 2) }
    let weights = view.probabilities(query: .image, keys: [.text])
    expectClose(weights, (view.logits(query: .image, key: .text)).softmax(-1), close)
    expectClose(
      view.attention(query: .image, reads: [.text]), Tensor.matmul(weights, try #require(view[.text]).value), close)
  }

  @Test func theOutputOfAViewOfOnesOwnIsThatOfItsTensors() {
    let query = Generator.draw([1, 2, 4, 3]), key = Generator.draw([1, 2, 6, 3], seed: 2)
    let view = BlockView(
      BlockID("mine", 0),
      streams: [
        .init(id: .image, reads: [.text], query: query, key: query, value: query, output: query),
        .init(id: .text, reads: [.text], query: key, key: key, value: key, output: key),
      ])
    let expected = (Tensor.matmul(query, key.transposed()) / Float(3).squareRoot()).softmax(-1)
    expectClose(view.probabilities(query: .image), expected, close)
    #expect(view.columns(of: .image, readBy: .image) == nil)
  }

  @Test func aHalfCanBeTriedAlone() throws {
    let half = model.toyBlocks[0].image, block = BlockID("toy", 0)
    var points: [Site.Point] = []
    let recording = Tap(block, .image) { point, tensor in
      points.append(point)
      return tensor
    }
    func projected(_ tap: Tap) -> Projection<Void> {
      half.project([
        HalfInput(tokens: input.image, conditioning: input.conditioning, processedAs: .image, tap: tap)
      ])[0]
    }
    let projection = projected(recording), plain = projected(Tap(block, .image))
    #expect(points == [.modulated] && recording.wants(.mlpInput) && !Tap(block, .image).wants(.mlpInput))
    #expect(projection.query.isIdentical(to: plain.query))
    let output = try #require(try view { _ in }[.image]?.output)
    let updated = half.update([
      UpdateInput(tokens: input.image, attention: output, saved: (), processedAs: .image, tap: Tap(block, .image))
    ])
    let whole = Last()
    _ = try run([whole])
    #expect(try #require(updated?.first).isIdentical(to: #require(whole.tokens)))
  }

  // MARK: What a model brings

  @Test func maskedKeysAreSeenByNobodyAndTheViewKnows() throws {
    let (streams, viewer) = try own(mask: [true, true, false], scale: nil)
    let weights = try #require(viewer.view).probabilities(query: .image)
    #expect(weights[.all, .all, .all, 2].amax().item == 0)
    expectClose(weights.sum(-1), Tensor(ones: [1, 1, 2]), close)
    // As if the padding were not there.
    let (short, _) = try own(mask: [true, true], scale: nil)
    expectClose(streams[.image].tokens, short[.image].tokens, close)
  }

  @Test func aScaleOfTheModelsOwnIsTheViewsToo() throws {
    let (_, viewer) = try own(mask: [true, true, true], scale: 3)
    let view = try #require(viewer.view), image = try #require(view[.image]), text = try #require(view[.text])
    #expect(view.scale == 3)
    expectClose(
      view.logits(query: .image, key: .text), Tensor.matmul(image.query, text.key.transposed()) * 3, close)
    expectClose(Tensor.matmul(view.probabilities(query: .image), text.value), image.output, close)
  }

  /// A block of cross-attention: image tokens read text only.
  private func own(mask: [Bool], scale: Float?) throws -> ([Stream], Viewer) {
    let tokens = Generator.draw([1, 3, 4], seed: 5).narrow(1, from: 0, count: mask.count)
    let conditioning = Tensor(zeros: [1, 4])
    var streams = [
      Stream(.image, tokens: Generator.draw([1, 2, 4]), conditioning: conditioning, reads: [.text]),
      Stream(
        .text, tokens: tokens, conditioning: conditioning, reads: [],
        keyMask: Tensor(mask.map { $0 ? 1 : 0 }, shape: [1, mask.count]).converted(to: .bool)),
    ]
    let viewer = Viewer(), block = CrossBlock(attentionScale: scale), model = CrossModel()
    let run = try HookRun([viewer], on: model, pass: pass)
    runJointBlock(block, BlockID("toy", 0), &streams, hooks: run)
    return (streams, viewer)
  }
}

/// Changes every call of the first block.
private final class Changing: AttentionProcessor {
  private let change: (inout AttentionCall) -> Void
  init(_ change: @escaping (inout AttentionCall) -> Void) { self.change = change }
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.attend("toy.0") { call, _, next in
      var call = call
      self.change(&call)
      return next(call)
    }
  }
}

private final class Viewer: AttentionProcessor {
  private(set) var view: BlockView?
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.observe("toy.0") { view, _ in self.view = view }
  }
}

/// The tokens that leave the first block.
private final class Last: AttentionProcessor {
  private(set) var tokens: Tensor?
  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.read("toy.0.image.residualOutput") { tensor, _, _ in self.tokens = tensor }
  }
}

private struct CrossModel: StreamModel {
  var blocks: [BlockID] { [BlockID("toy", 0)] }
  var textFamily: String { "toy" }
  func streams(in block: BlockID) -> [StreamID] { [.image, .text] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { [.query, .key, .value, .attentionOutput] }
}

/// Tokens are their own queries, keys and values.
private struct CrossBlock: JointBlock, JointBlockHalf {
  let attentionScale: Float?
  var halves: [any JointBlockHalf] { [self] }
  func half(for stream: StreamID) -> Int { 0 }
  var attentionPrecision: AttentionPrecision { .f32 }
  func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    inputs.map {
      let heads = $0.tokens.unsqueezed(1)
      return Projection(query: heads, key: heads, value: heads)
    }
  }
  func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? { inputs.map { $0.tokens + $0.mergedAttention } }
}
