import NN
import Tensor

// Text encoders as processors see them: blocks of one stream, `text`, which reads itself.

/// The blocks of a text encoder and their sites, `t5.3.text.residualOutput`.
public struct TextEncoderSites: StreamModel {
  /// `t5`, `clip`, and in Stable Diffusion 3 `clip-l` and `clip-g`.
  public let family: String
  public let layers: Int

  public init(_ family: String, layers: Int) {
    self.family = family
    self.layers = layers
  }

  public var textFamily: String { family }
  public var blocks: [BlockID] { (0..<layers).map { BlockID(family, $0) } }
  public func streams(in block: BlockID) -> [StreamID] { [.text] }
  public func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    [
      .residualInput, .modulated, .query, .key, .value, .attentionOutput, .attentionProjected, .residualMiddle,
      .mlpInput, .mlpHidden, .mlpOutput, .residualOutput,
    ]
  }
}

/// Runs the blocks of a text encoder.
///
/// - Parameters:
///   - tokens: the embeddings, `[batch, tokens, dim]`
///   - bias: added to the logits, `[batch or 1, heads or 1, tokens, tokens]`
///   - visit: given what every block reads
/// - Returns: what leaves the last one
func runTextBlocks(
  _ blocks: [some JointBlock], _ family: String, _ tokens: Tensor, bias: Tensor? = nil, hooks: HookRun?,
  visit: (Tensor) -> Void
) -> Tensor {
  let nothing = Tensor(zeros: [tokens.shape[0], 0])
  var streams = [Stream(.text, tokens: tokens, conditioning: nothing, reads: [.text], ownBias: bias)]
  for (layer, block) in blocks.enumerated() {
    visit(streams[0].tokens)
    runJointBlock(block, BlockID(family, layer), &streams, hooks: hooks)
  }
  return streams[0].tokens
}

extension T5Encoder.Block: JointBlock, JointBlockHalf {
  public var halves: [any JointBlockHalf] { [self] }
  public func half(for stream: StreamID) -> Int { 0 }
  public var attentionPrecision: AttentionPrecision { .f32 }
  /// T5 does not scale.
  public var attentionScale: Float? { 1 }
  public var attentionProjection: Linear? { attentionOutput }

  public func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    attention(inputs.map { $0.tap(.modulated, attentionNorm($0.tokens)) })
  }

  public func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? {
    let middle = afterAttention(inputs, attentionOutput)
    let x = zip(inputs, middle).map { $0.tap(.mlpInput, feedForwardNorm($1)) }
    let hidden = zip(inputs, feedForward.hidden(x)).map { $0.tap(.mlpHidden, $1) }
    return zip(zip(inputs, middle), feedForward.down(hidden)).map { $0.1 + $0.0.tap(.mlpOutput, $1) }
  }
}

extension CLIPTextEncoder.Layer: JointBlock, JointBlockHalf {
  public var halves: [any JointBlockHalf] { [self] }
  public func half(for stream: StreamID) -> Int { 0 }
  public var attentionPrecision: AttentionPrecision { .f32 }
  public var isCausal: Bool { true }
  public var attentionProjection: Linear? { attentionOutput }

  public func project(_ inputs: [HalfInput]) -> [Projection<Void>] {
    attention(inputs.map { $0.tap(.modulated, norm1($0.tokens)) })
  }

  public func update(_ inputs: [UpdateInput<Void>]) -> [Tensor]? {
    let middle = afterAttention(inputs, attentionOutput)
    let x = zip(inputs, middle).map { $0.tap(.mlpInput, norm2($1)) }
    let hidden = zip(inputs, up(x, activation: activation)).map { $0.tap(.mlpHidden, $1) }
    return zip(zip(inputs, middle), down(hidden)).map { $0.1 + $0.0.tap(.mlpOutput, $1) }
  }
}

/// The residual between attention and MLP.
private func afterAttention(_ inputs: [UpdateInput<Void>], _ projection: Linear) -> [Tensor] {
  zip(inputs, projection(inputs.map(\.mergedAttention))).map { input, projected in
    input.tap(.residualMiddle, input.tokens + input.tap(.attentionProjected, projected))
  }
}
