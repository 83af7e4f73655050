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
  public func half(for weights: StreamID) -> Int { weights == .image ? 0 : 1 }
}

/// Queries, keys and values of one side, with optional RMS norms.
public struct SD3Projections: Sendable {
  public var query, key, value: Linear
  public var queryNorm, keyNorm: RMSNorm?
  public var heads: Int

  /// - Parameter names: of query, key, value and the two norms below `w`
  init(dim: Int, heads: Int, norm: Bool, names: [String], _ w: Weights) {
    query = Linear(dim, dim, w[names[0]])
    key = Linear(dim, dim, w[names[1]])
    value = Linear(dim, dim, w[names[2]])
    queryNorm = norm ? RMSNorm(dim / heads, w[names[3]]) : nil
    keyNorm = norm ? RMSNorm(dim / heads, w[names[4]]) : nil
    self.heads = heads
  }

  static let imageNames = ["to_q", "to_k", "to_v", "norm_q", "norm_k"]
  static let textNames = ["add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k"]

  /// - Parameter xs: each `[batch, tokens, dim]`
  func callAsFunction(_ xs: [Tensor]) -> [Projection] {
    let q = query(xs).map { $0.splitHeads(heads) }, k = key(xs).map { $0.splitHeads(heads) }, v = value(xs)
    return xs.indices.map {
      Projection(query: queryNorm?(q[$0]) ?? q[$0], key: keyNorm?(k[$0]) ?? k[$0], value: v[$0].splitHeads(heads))
    }
  }
}

/// The image half of a joint block.
public struct SD3ImageHalf: JointBlockHalf {
  enum Norm: Sendable {
    case zero(AdaLayerNormZero)
    case zeroX(SD35AdaLayerNormZeroX)
  }

  let norm1: Norm
  public var attention: SD3Projections
  public var output: Linear
  public var dualAttention: SD3Projections?
  public var dualOutput: Linear?
  public var norm2: LayerNorm
  public var feedForward: FeedForward

  init(dim: Int, heads: Int, queryKeyNorm: Bool, dualAttention isDual: Bool, _ w: Weights) {
    let names = SD3Projections.imageNames
    norm1 = isDual ? .zeroX(SD35AdaLayerNormZeroX(dim, w["norm1"])) : .zero(AdaLayerNormZero(dim, w["norm1"]))
    attention = SD3Projections(dim: dim, heads: heads, norm: queryKeyNorm, names: names, w["attn"])
    output = Linear(dim, dim, w["attn"]["to_out"][0])
    dualAttention =
      isDual ? SD3Projections(dim: dim, heads: heads, norm: queryKeyNorm, names: names, w["attn2"]) : nil
    dualOutput = isDual ? Linear(dim, dim, w["attn2"]["to_out"][0]) : nil
    norm2 = LayerNorm(eps: 1e-6)
    feedForward = FeedForward(dim, w["ff"])
  }

  public func project(_ inputs: [HalfInput]) -> [Projection] {
    switch norm1 {
    case .zero(let norm):
      let modulations = norm.modulations(inputs.map(\.conditioning))
      let x = zip(inputs, modulations).map { $0.tap(.modulated, norm($0.tokens, $1)) }
      return saving(attention(x), modulations)
    case .zeroX(let norm):
      let modulations = norm.modulations(inputs.map(\.conditioning))
      let x = zip(inputs, modulations).map { norm($0.tokens, $1) }
      let joint = zip(inputs, x).map { $0.tap(.modulated, $1.joint) }
      var projections = saving(attention(joint), modulations.map(\.attention))
      for (index, dual) in (dualAttention?(x.map(\.dual)) ?? []).enumerated() {
        let tap = inputs[index].tap
        projections[index].saved += [
          modulations[index].gateDual, tap(.dualQuery, dual.query), tap(.dualKey, dual.key),
          tap(.dualValue, dual.value),
        ]
      }
      return projections
    }
  }

  public func update(_ inputs: [UpdateInput]) -> [Tensor]? {
    var x = output(inputs.map(\.mergedAttention), gates: inputs.map { $0.saved[0] }, residuals: inputs.map(\.tokens))
    if let dualAttention, let dualOutput {
      let attended = inputs.map { input in
        input.tap(
          .dualAttentionOutput,
          scaledDotProductAttention(
            query: input.saved[5], key: input.saved[6], value: input.saved[7],
            precision: dualAttention.query.attentionPrecision))
      }
      x = dualOutput(attended.map(\.mergedHeads), gates: inputs.map { $0.saved[4] }, residuals: x)
    }
    let hidden = zip(inputs, x).map { $0.tap(.mlpInput, norm2($1, scale: $0.saved[2], shift: $0.saved[1])) }
    return feedForward(hidden, gates: inputs.map { $0.saved[3] }, residuals: x, taps: inputs.map(\.tap))
  }
}

/// The text half of a joint block.
public struct SD3TextHalf: JointBlockHalf {
  /// What the half of all blocks but the last has.
  struct Ending: Sendable {
    var norm1: AdaLayerNormZero
    var output: Linear
    var norm2: LayerNorm
    var feedForward: FeedForward
  }

  public var attention: SD3Projections
  let ending: Ending?
  let lastNorm: AdaLayerNormContinuous?

  init(dim: Int, heads: Int, queryKeyNorm: Bool, endsAtAttention: Bool, _ w: Weights) {
    attention = SD3Projections(
      dim: dim, heads: heads, norm: queryKeyNorm, names: SD3Projections.textNames, w["attn"])
    lastNorm = endsAtAttention ? AdaLayerNormContinuous(dim, conditioningDim: dim, w["norm1_context"]) : nil
    ending =
      endsAtAttention
      ? nil
      : Ending(
        norm1: AdaLayerNormZero(dim, w["norm1_context"]), output: Linear(dim, dim, w["attn"]["to_add_out"]),
        norm2: LayerNorm(eps: 1e-6), feedForward: FeedForward(dim, w["ff_context"]))
  }

  public func project(_ inputs: [HalfInput]) -> [Projection] {
    if let ending {
      let modulations = ending.norm1.modulations(inputs.map(\.conditioning))
      let x = zip(inputs, modulations).map { $0.tap(.modulated, ending.norm1($0.tokens, $1)) }
      return saving(attention(x), modulations)
    }
    let x = lastNorm?(inputs.map(\.tokens), inputs.map(\.conditioning)) ?? []
    return attention(zip(inputs, x).map { $0.tap(.modulated, $1) })
  }

  public func update(_ inputs: [UpdateInput]) -> [Tensor]? {
    guard let ending else { return nil }
    let attended = ending.output(
      inputs.map(\.mergedAttention), gates: inputs.map { $0.saved[0] }, residuals: inputs.map(\.tokens))
    let x = zip(inputs, attended).map { $0.tap(.mlpInput, ending.norm2($1, scale: $0.saved[2], shift: $0.saved[1])) }
    return ending.feedForward(x, gates: inputs.map { $0.saved[3] }, residuals: attended, taps: inputs.map(\.tap))
  }
}

/// Keeps what the second half of a block needs of the modulation.
private func saving(_ projections: [Projection], _ modulations: [AdaLayerNormZero.Modulation]) -> [Projection] {
  zip(projections, modulations).map { projection, m in
    var projection = projection
    projection.saved = [m.gateAttention, m.shiftMLP, m.scaleMLP, m.gateMLP]
    return projection
  }
}
