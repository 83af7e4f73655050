import NN
import Tensor

/// A block in which image and text tokens have weights of their own and attend together.
///
/// Source: diffusers `FluxTransformerBlock`.
public struct FluxDoubleBlock: JointBlock {
  public var image, text: FluxHalf
  public var attentionPrecision: AttentionPrecision { image.attention.query.attentionPrecision }

  public init(_ config: FluxConfig, _ w: Weights) {
    image = FluxHalf(config, .image, w)
    text = FluxHalf(config, .text, w)
  }

  public var halves: [any JointBlockHalf] { [image, text] }
  public func half(for stream: StreamID) -> Int { stream == .image ? 0 : 1 }
}

/// The image or the text half of a double block.
public struct FluxHalf: JointBlockHalf {
  public var norm1: AdaLayerNormZero
  public var attention: AttentionProjections
  public var ending: BlockEnding

  public init(_ config: FluxConfig, _ side: StreamID, _ w: Weights) {
    let dim = config.dim, isImage = side == .image
    norm1 = AdaLayerNormZero(dim, w[isImage ? "norm1" : "norm1_context"])
    attention = AttentionProjections(
      dim, heads: config.numAttentionHeads, headDim: config.attentionHeadDim, side: side, w["attn"])
    ending = BlockEnding(
      output: Linear(dim, dim, isImage ? w["attn"]["to_out"][0] : w["attn"]["to_add_out"]),
      norm: LayerNorm(eps: 1e-6), feedForward: FeedForward(dim, w[isImage ? "ff" : "ff_context"]))
  }

  public var attentionProjection: Linear? { ending.output }

  public func project(_ inputs: [HalfInput]) -> [Projection<BranchModulations<Tensor>>] {
    let modulations = zip(inputs, norm1.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm1($0.tokens, $1)) }
    return attention(x, saving: modulations)
  }

  public func update(_ inputs: [UpdateInput<BranchModulations<Tensor>>]) -> [Tensor]? {
    ending(inputs, inputs.map(\.saved))
  }
}
