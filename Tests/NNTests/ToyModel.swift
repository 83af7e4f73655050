import NN
import Tensor

/// The smallest model with everything that hooks meet: text and image streams, rotated image tokens, two blocks of
/// which the last has no second half for text.
struct ToyModel: StreamModel {
  static let dim = 12, heads = 3
  let toyBlocks: [ToyBlock]

  init() throws {
    toyBlocks = try load(from: RandomWeights(seed: 3)) { w in
      (0..<2).map {
        ToyBlock(text: ToyHalf(updates: $0 == 0, w["text"][$0]), image: ToyHalf(updates: true, w["image"][$0]))
      }
    }
  }

  struct Input {
    var image, text, conditioning: Tensor
    var rotary: RotaryTable

    /// - Parameter batch: pictures
    init(batch: Int, tokens: Int = 5, seed: UInt64 = 1) {
      var generator = Generator(seed: seed)
      image = generator.randn([batch, tokens, ToyModel.dim])
      text = generator.randn([batch, 3, ToyModel.dim])
      conditioning = generator.randn([batch, ToyModel.dim])
      let positions = Tensor((0..<tokens).map { Float($0) }, shape: [tokens, 1])
      rotary = .flux(ids: positions, axes: [ToyModel.dim / ToyModel.heads])
    }
  }

  /// Image tokens after the last block.
  func callAsFunction(_ input: Input, hooks: HookRun? = nil) -> Tensor {
    var streams = [
      Stream(.text, tokens: input.text, conditioning: input.conditioning, reads: [.text, .image]),
      Stream(
        .image, tokens: input.image, conditioning: input.conditioning, rotary: input.rotary, reads: [.text, .image]),
    ]
    hooks?.board(&streams) { rider in
      Stream(rider, tokens: rider.embeddings, conditioning: input.conditioning, batch: input.image.shape[0])
    }
    runJointBlocks(zip(toyBlocks, blocks), &streams, hooks: hooks)
    return streams[.image].tokens
  }

  var textFamily: String { "toy" }
  var blocks: [BlockID] { [BlockID("toy", 0), BlockID("toy", 1)] }
  func streams(in block: BlockID) -> [StreamID] { [.text, .image] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    [.residualInput, .modulated, .query, .key, .value] + (stream == .image ? [.rotatedQuery, .rotatedKey] : [])
      + [.attentionOutput] + (stream == .image || block.layer == 0 ? [.residualOutput] : [])
  }
}

struct ToyBlock: JointBlock {
  let text, image: ToyHalf

  var halves: [any JointBlockHalf] { [text, image] }
  func half(for stream: StreamID) -> Int { stream == .image ? 1 : 0 }
  var attentionPrecision: AttentionPrecision { .f32 }
}

struct ToyHalf: JointBlockHalf {
  let updates: Bool
  let projection, output: Linear

  init(updates: Bool, _ w: Weights) {
    self.updates = updates
    projection = Linear(ToyModel.dim, 3 * ToyModel.dim, w["projection"])
    output = Linear(ToyModel.dim, ToyModel.dim, w["output"])
  }

  func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    let modulated = inputs.map { $0.tap(.modulated, $0.tokens + $0.conditioning.unsqueezed(1)) }
    return projection(modulated).map { all in
      let parts = all.chunked(3, axis: -1).map { $0.rearranged("b t (h d) -> b h t d", ["h": ToyModel.heads]) }
      return Projection(query: parts[0], key: parts[1], value: parts[2])
    }
  }

  func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? {
    updates ? zip(inputs, output(inputs.map(\.mergedAttention))).map { $0.tokens + $1 } : nil
  }
}
