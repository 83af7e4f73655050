import NN
import Tensor

/// A joint block of Stable Diffusion 3 and 3.5: image and text tokens have weights of their own and attend together;
/// some blocks of SD3.5 Medium let the image tokens attend once more among themselves; the last block has no text
/// output.
///
/// Source: diffusers `JointTransformerBlock`; Stability AI sd3.5 `mmditx.py` `DismantledBlock`.
public struct SD3Block: JointBlock {
  public var image: SD3ImageHalf
  public var text: SD3TextHalf

  /// - Parameters:
  ///   - contextPreOnly: the text half ends at the attention
  ///   - dualAttention: the image half has a second attention
  public init(
    dim: Int, heads: Int, queryKeyNorm: Bool, contextPreOnly: Bool = false, dualAttention: Bool = false, _ w: Weights
  ) {
    image = SD3ImageHalf(dim: dim, heads: heads, queryKeyNorm: queryKeyNorm, dualAttention: dualAttention, w)
    text = SD3TextHalf(dim: dim, heads: heads, queryKeyNorm: queryKeyNorm, endsAtAttention: contextPreOnly, w)
  }

  public var attentionPrecision: AttentionPrecision { image.attention.query.attentionPrecision }
  public var halves: [any JointBlockHalf] { [image, text] }
  public func half(for stream: StreamID) -> Int { stream == .image ? 0 : 1 }
}

/// The image half of a joint block.
public struct SD3ImageHalf: JointBlockHalf {
  public let norm1: any BranchNorm
  public var attention: AttentionProjections
  public var dualAttention: AttentionProjections?
  public var dualOutput: Linear?
  public var ending: BlockEnding

  init(dim: Int, heads: Int, queryKeyNorm: Bool, dualAttention isDual: Bool, _ w: Weights) {
    func projections(_ w: Weights) -> AttentionProjections {
      AttentionProjections(dim, heads: heads, headDim: dim / heads, side: .image, normalized: queryKeyNorm, w)
    }
    norm1 = isDual ? SD35AdaLayerNormZeroX(dim, w["norm1"]) : AdaLayerNormZero(dim, w["norm1"])
    attention = projections(w["attn"])
    dualAttention = isDual ? projections(w["attn2"]) : nil
    dualOutput = isDual ? Linear(dim, dim, w["attn2"]["to_out"][0]) : nil
    ending = BlockEnding(
      output: Linear(dim, dim, w["attn"]["to_out"][0]), norm: LayerNorm(eps: 1e-6),
      feedForward: FeedForward(dim, w["ff"]))
  }

  public struct Saved: Sendable {
    public var modulations: BranchModulations<Tensor>
    /// The second attention's queries, keys and values, with its gate `[batch, dim]`.
    public var dual: Projection<Tensor>?
  }

  public var attentionProjection: Linear? { ending.output }

  public func project(_ inputs: [HalfInput]) -> [Projection<Saved>] {
    let modulations = zip(inputs, norm1.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
    let x = zip(inputs, modulations).map { $0.tap(.modulated, norm1($0.tokens, $1)) }
    var projections = attention(x, saving: modulations.map { Saved(modulations: $0) })
    guard let dualAttention else { return projections }
    let told = modulations.compactMap(\.dual)
    let duals = dualAttention(zip(inputs, told).map { norm1.norm($0.tokens, $1) }, saving: told.map(\.gate))
    for (index, dual) in duals.enumerated() {
      let tap = inputs[index].tap
      projections[index].saved.dual = Projection(
        query: tap(.dualQuery, dual.query), key: tap(.dualKey, dual.key), value: tap(.dualValue, dual.value),
        saved: dual.saved)
    }
    return projections
  }

  public func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]? {
    let modulations = inputs.map(\.saved.modulations), duals = inputs.compactMap(\.saved.dual), taps = inputs.map(\.tap)
    guard let dualAttention, let dualOutput else { return ending(inputs, modulations) }
    var x = ending.output(
      inputs.map(\.mergedAttention), gates: modulations.map(\.attention.gate), residuals: inputs.map(\.tokens),
      taps: taps, at: .attentionProjected)
    let attended = zip(taps, duals).map { tap, dual in
      tap.dualAttention(dual, precision: dualAttention.query.attentionPrecision)
    }
    x = dualOutput(
      attended.map(\.mergedHeads), gates: duals.map(\.saved), residuals: x, taps: taps, at: .dualProjected)
    return ending.mlp(zip(taps, x).map { $0(.residualMiddle, $1) }, modulations, taps: taps)
  }
}

/// The text half of a joint block.
public struct SD3TextHalf: JointBlockHalf {
  public var attention: AttentionProjections
  /// nil where the half ends at the attention, which then has `lastNorm` before it.
  let norm1: AdaLayerNormZero?
  let ending: BlockEnding?
  let lastNorm: AdaLayerNormContinuous?

  init(dim: Int, heads: Int, queryKeyNorm: Bool, endsAtAttention: Bool, _ w: Weights) {
    attention = AttentionProjections(
      dim, heads: heads, headDim: dim / heads, side: .text, normalized: queryKeyNorm, w["attn"])
    let norm = w["norm1_context"]
    lastNorm = endsAtAttention ? AdaLayerNormContinuous(dim, conditioningDim: dim, norm) : nil
    norm1 = endsAtAttention ? nil : AdaLayerNormZero(dim, norm)
    ending =
      endsAtAttention
      ? nil
      : BlockEnding(
        output: Linear(dim, dim, w["attn"]["to_add_out"]), norm: LayerNorm(eps: 1e-6),
        feedForward: FeedForward(dim, w["ff_context"]))
  }

  public var attentionProjection: Linear? { ending?.output }

  /// nil where the half ends at the attention.
  public func project(_ inputs: [HalfInput]) -> [Projection<BranchModulations<Tensor>?>] {
    if let norm1 {
      let modulations = zip(inputs, norm1.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
      let x = zip(inputs, modulations).map { $0.tap(.modulated, norm1($0.tokens, $1)) }
      return attention(x, saving: modulations)
    }
    let x = lastNorm?(inputs.map(\.tokens), inputs.map(\.conditioning), taps: inputs.map(\.tap)) ?? []
    return attention(zip(inputs, x).map { $0.tap(.modulated, $1) }, saving: inputs.map { _ in nil })
  }

  public func update(_ inputs: [UpdateInput<BranchModulations<Tensor>?>]) -> [Tensor]? {
    ending?(inputs, inputs.compactMap(\.saved))
  }
}
