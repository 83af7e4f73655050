import Models
import NN
import Tensor
import TestSupport
import Testing

/// A block of a case, with what its streams need.
struct GoldenBlock {
  let block: any JointBlock
  let id: BlockID
  let order: [StreamID]
  let tables: [StreamID: RotaryTable]

  init(_ golden: GoldenCase) throws {
    let inputs = try golden.inputs(), args = golden.config.args
    let source = try SafetensorsWeights(path: golden.path("block.safetensors"))
    let dim = try #require(args.dim.int), heads = try #require(args.num_attention_heads.int)
    switch try #require(golden.config.block.string) {
    case "flux_double":
      let config = try fluxConfig(golden)
      block = try load(from: source) { FluxDoubleBlock(config, $0) }
      (id, order, tables) = (BlockID("double", 0), [.text, .image], try fluxTables(golden, inputs))
    case "flux_single":
      let config = try fluxConfig(golden)
      block = try load(from: source) { FluxSingleBlock(config, $0) }
      (id, order, tables) = (BlockID("single", 0), [.text, .image], try fluxTables(golden, inputs))
    case "sd3_joint":
      block = try load(from: source) {
        SD3Block(
          dim: dim, heads: heads, queryKeyNorm: args.qk_norm.string != nil,
          contextPreOnly: args.context_pre_only.bool ?? false, dualAttention: args.use_dual_attention.bool ?? false, $0)
      }
      (id, order, tables) = (BlockID("joint", 0), [.image, .text], [:])
    case "cogvideox":
      block = try load(from: source) {
        CogVideoXBlock(
          dim: dim, heads: heads, conditioningDim: args.time_embed_dim.int ?? 0,
          attentionBias: args.attention_bias.bool ?? false, $0)
      }
      let video = try inputs["rope_cos"].map { RotaryTable(cos: $0, sin: try #require(inputs["rope_sin"])) }
      (id, order, tables) = (BlockID("joint", 0), [.text, .image], video.map { [.image: $0] } ?? [:])
    case let other: throw UnknownBlock(name: other)
    }
  }

  struct UnknownBlock: Error { let name: String }

  /// The streams of a case's inputs.
  func streams(_ inputs: [String: Tensor]) throws -> [Stream] {
    try order.map { id in
      Stream(
        id, tokens: try #require(inputs[id == .image ? "hidden" : "encoder"]),
        conditioning: try #require(inputs["temb"]), rotary: tables[id], reads: [.image, .text])
    }
  }
}

/// One transformer block of any family, run by the hook's runner: outputs, and what went through attention.
func blockOutputs(_ golden: GoldenCase) throws -> [String: Tensor] {
  let block = try GoldenBlock(golden), spy = AttentionSpy()
  var streams = try block.streams(golden.inputs())
  let hooks = try HookRun(
    [spy], on: OneBlock(family: block.id.family), pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  runJointBlock(block.block, block.id, &streams, hooks: hooks)
  var outputs = spy.outputs
  for stream in streams { outputs[stream.id == .image ? "hidden" : "encoder"] = stream.tokens }
  if golden.config.args.context_pre_only.bool == true { outputs["encoder"] = nil }
  return outputs
}

private func fluxConfig(_ golden: GoldenCase) throws -> FluxConfig {
  let args = golden.config.args
  return FluxConfig(
    attentionHeadDim: try #require(args.attention_head_dim.int),
    numAttentionHeads: try #require(args.num_attention_heads.int), guidanceEmbeds: false,
    axesDimsRope: golden.config.axes.ints)
}

/// Tables of the text and image tokens, whose ids come one after the other.
private func fluxTables(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [StreamID: RotaryTable] {
  let table = RotaryTable.flux(ids: try #require(inputs["ids"]), axes: golden.config.axes.ints)
  let text = try #require(inputs["encoder"]).shape[1], image = try #require(inputs["hidden"]).shape[1]
  return [.text: table.narrow(from: 0, count: text), .image: table.narrow(from: text, count: image)]
}

/// A model of one block, so that processors can be installed on it.
private struct OneBlock: StreamModel {
  let family: String
  var blocks: [BlockID] { [BlockID(family, 0)] }
  var textFamily: String { family }
  func streams(in block: BlockID) -> [StreamID] { [.image, .text] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { Site.Point.allCases }
}

/// Keeps the operands and results of attention as the reference records them: streams joined along the tokens.
private final class AttentionSpy: AttentionProcessor {
  var outputs: [String: Tensor] = [:]

  private static let dual: [Site.Point: String] = [
    .dualQuery: "attn_q_dual", .dualKey: "attn_k_dual", .dualValue: "attn_v_dual",
    .dualAttentionOutput: "attn_out_dual",
  ]

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    for (point, name) in Self.dual {
      hooks.read("*.*.*.\(point.rawValue)") { tensor, _, _ in
        self.outputs[name] = point == .dualAttentionOutput ? tensor.mergedHeads : tensor
      }
    }
    hooks.observe("*", record)
  }

  private func record(_ block: BlockView, _ pass: Pass) {
    outputs["attn_q"] = concatenated(block.streams.map(\.rotatedQuery), axis: 2)
    outputs["attn_k"] = concatenated(block.streams.map(\.rotatedKey), axis: 2)
    outputs["attn_v"] = concatenated(block.streams.map(\.value), axis: 2)
    outputs["attn_out"] = concatenated(block.streams.map(\.mergedOutput), axis: 1)
  }
}
