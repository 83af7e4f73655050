import ConceptAttention
import NN
import Tensor

/// A new architecture: image tokens attend among themselves, then to the prompt, which has padding and is never changed.
struct CrossModel: StreamModel {
  static let dim = 24, heads = 3
  let layers: [CrossBlock]

  init(depth: Int) throws {
    layers = try load(from: RandomWeights(seed: 8)) { w in
      (0..<2 * depth).map { CrossBlock(w["blocks"][$0], image: $0 % 2 == 0 ? .asksItself : .asks) }
    }
  }

  var textFamily: String { "cross" }
  var blocks: [BlockID] { layers.indices.map { BlockID($0 % 2 == 0 ? "self" : "cross", $0 / 2) } }
  func streams(in block: BlockID) -> [StreamID] { block.family == "self" ? [.image] : [.image, .text] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    stream == .image
      ? [.residualInput, .query] + (block.family == "self" ? [.key, .value] : []) + [.attentionOutput, .residualOutput]
      : [.residualInput, .key, .value]
  }

  func callAsFunction(image: Tensor, text: Tensor, mask: Tensor, hooks: HookRun? = nil) -> Tensor {
    let conditioning = Tensor(zeros: [image.shape[0], Self.dim])
    var streams = [
      Stream(.image, tokens: image, conditioning: conditioning, reads: [.image]),
      Stream(
        .text, tokens: text, conditioning: conditioning, reads: [], families: ["cross"], keyMask: mask),
    ]
    hooks?.board(&streams) { Stream($0, tokens: $0.embeddings, conditioning: conditioning, batch: image.shape[0]) }
    for (block, id) in zip(layers, blocks) {
      streams[0].reads = id.family == "self" ? [.image] : [.text]
      runJointBlock(block, id, &streams, hooks: hooks)
    }
    return streams[.image].tokens
  }
}

struct CrossBlock: JointBlock {
  let image: CrossHalf, text: CrossHalf
  init(_ w: Weights, image role: CrossHalf.Role) {
    (image, text) = (CrossHalf(w["image"], role), CrossHalf(w["text"], .isRead))
  }
  var halves: [any JointBlockHalf] { [image, text] }
  func half(for stream: StreamID) -> Int { stream == .image ? 0 : 1 }
  var attentionPrecision: AttentionPrecision { .f32 }
  /// Not `1 / sqrt(headDim)`.
  var attentionScale: Float? { 0.5 }
}

struct CrossHalf: JointBlockHalf {
  /// Image tokens ask themselves or the prompt, which is only read: it has no queries, and they have no keys there.
  enum Role { case asksItself, asks, isRead }

  let role: Role
  let projection: Linear
  let output: Linear?

  init(_ w: Weights, _ role: Role) {
    let dim = CrossModel.dim, parts = [Role.asksItself: 3, .asks: 1, .isRead: 2][role] ?? 0
    self.role = role
    projection = Linear(dim, parts * dim, w["projection"])
    output = role == .isRead ? nil : Linear(dim, dim, w["output"])
  }

  var attentionProjection: Linear? { output }

  func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    projection(inputs.map(\.tokens)).map { all in
      let parts = all.chunked(all.shape[2] / CrossModel.dim).map { $0.splitHeads(CrossModel.heads) }
      switch role {
      case .asksItself: return Projection(query: parts[0], key: parts[1], value: parts[2])
      case .asks: return Projection(query: parts[0])
      case .isRead: return Projection(key: parts[0], value: parts[1])
      }
    }
  }

  func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? {
    output.map { output in zip(inputs, output(inputs.map(\.mergedAttention))).map { $0.tokens + $1 } }
  }
}

/// The shipped methods on it: attention over the prompt adds up to 1, padding has none of it, and nobody changes a bit. Concepts
/// would have nothing to ask, since text asks nothing: ConceptAttention says so.
func crossAttentionModel() throws -> Finding {
  let model = try CrossModel(depth: 2), grid = TokenGrid(height: 3, width: 4)
  var generator = Generator(seed: 1)
  let image = generator.randn([1, grid.count, CrossModel.dim]), text = generator.randn([1, 5, CrossModel.dim])
  let mask = Tensor([1, 1, 1, 0, 0], shape: [1, 5]).greater(than: 0)
  let maps = RawCrossAttention(in: ["cross"]), cache = ActivationCache("*")
  let run = try HookRun([maps, cache], on: model, pass: Pass(steps: 1, grid: grid))
  let looked = model(image: image, text: text, mask: mask, hooks: run)
  try run.finish()
  let concepts = ConceptAttention(ConceptSet(["a", "b"], embeddings: generator.randn([1, 2, CrossModel.dim])))
  var refusal: HookError?
  do { _ = try HookRun([concepts], on: model, pass: Pass(steps: 1, grid: grid)) } catch {
    refusal = error as? HookError
  }
  let found = try maps.maps().average[0]
  let total = (found.sum(0) - 1).absolute().amax().item
  return Finding(
    "a model of one's own",
    "probabilities over the prompt differ from 1 by \(total); \(refusal?.description ?? "concepts were not refused")",
    holds: refusal != nil && total < 1e-5 && found.narrow(0, from: 3, count: 2).amax().item == 0
      && looked.isIdentical(to: model(image: image, text: text, mask: mask)))
}
