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
  /// - Parameter saved: what goes with each of the projections
  func callAsFunction<Saved>(_ xs: [Tensor], saving saved: [Saved]) -> [Projection<Saved>] {
    let q = query(xs).map { $0.splitHeads(heads) }, k = key(xs).map { $0.splitHeads(heads) }, v = value(xs)
    return xs.indices.map {
      Projection(
        query: queryNorm?(q[$0]) ?? q[$0], key: keyNorm?(k[$0]) ?? k[$0], value: v[$0].splitHeads(heads),
        saved: saved[$0])
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

  public struct Saved: Sendable {
    public var modulation: AdaLayerNormZero.Modulation
    /// The second attention's queries, keys and values, with its gate `[batch, dim]`.
    public var dual: Projection<Tensor>?
  }

  public var attentionProjection: Linear? { output }

  public func project(_ inputs: [HalfInput]) -> [Projection<Saved>] {
    switch norm1 {
    case .zero(let norm):
      let modulations = zip(inputs, norm.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
      let x = zip(inputs, modulations).map { $0.tap(.modulated, norm($0.tokens, $1)) }
      return attention(x, saving: modulations.map { Saved(modulation: $0) })
    case .zeroX(let norm):
      let modulations = zip(inputs, norm.modulations(inputs.map(\.conditioning))).map { $1.visited(by: $0.tap) }
      let x = zip(inputs, modulations).map { norm($0.tokens, $1) }
      let joint = zip(inputs, x).map { $0.tap(.modulated, $1.joint) }
      var projections = attention(joint, saving: modulations.map { Saved(modulation: $0.attention) })
      let duals = dualAttention?(x.map(\.dual), saving: modulations.map(\.gateDual)) ?? []
      for (index, dual) in duals.enumerated() {
        let tap = inputs[index].tap
        projections[index].saved.dual = Projection(
          query: tap(.dualQuery, dual.query), key: tap(.dualKey, dual.key), value: tap(.dualValue, dual.value),
          saved: dual.saved)
      }
      return projections
    }
  }

  public func update(_ inputs: [UpdateInput<Saved>]) -> [Tensor]? {
    let modulations = inputs.map(\.saved.modulation), duals = inputs.compactMap(\.saved.dual)
    var x = output(
      inputs.map(\.mergedAttention), gates: modulations.map(\.gateAttention), residuals: inputs.map(\.tokens),
      taps: inputs.map(\.tap), at: .attentionProjected)
    if let dualAttention, let dualOutput {
      let attended = zip(inputs, duals).map { input, dual in
        input.tap.dualAttention(dual, precision: dualAttention.query.attentionPrecision)
      }
      x = dualOutput(
        attended.map(\.mergedHeads), gates: duals.map(\.saved), residuals: x, taps: inputs.map(\.tap),
        at: .dualProjected)
    }
    x = zip(inputs, x).map { $0.tap(.residualMiddle, $1) }
    let hidden = zip(inputs, x).map { input, tokens in
      let m = input.saved.modulation
      return input.tap(.mlpInput, norm2(tokens, scale: m.scaleMLP, shift: m.shiftMLP))
    }
    return feedForward(hidden, gates: modulations.map(\.gateMLP), residuals: x, taps: inputs.map(\.tap))
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

  public var attentionProjection: Linear? { ending?.output }

  /// nil where the half ends at the attention.
  public func project(_ inputs: [HalfInput]) -> [Projection<AdaLayerNormZero.Modulation?>] {
    if let ending {
      let modulations = zip(inputs, ending.norm1.modulations(inputs.map(\.conditioning))).map {
        $1.visited(by: $0.tap)
      }
      let x = zip(inputs, modulations).map { $0.tap(.modulated, ending.norm1($0.tokens, $1)) }
      return attention(x, saving: modulations)
    }
    let x = lastNorm?(inputs.map(\.tokens), inputs.map(\.conditioning), taps: inputs.map(\.tap)) ?? []
    return attention(zip(inputs, x).map { $0.tap(.modulated, $1) }, saving: inputs.map { _ in nil })
  }

  public func update(_ inputs: [UpdateInput<AdaLayerNormZero.Modulation?>]) -> [Tensor]? {
    guard let ending else { return nil }
    let modulations = inputs.compactMap(\.saved)
    let attended = ending.output(
      inputs.map(\.mergedAttention), gates: modulations.map(\.gateAttention), residuals: inputs.map(\.tokens),
      taps: inputs.map(\.tap))
    let x = inputs.indices.map { index in
      let m = modulations[index]
      return inputs[index].tap(.mlpInput, ending.norm2(attended[index], scale: m.scaleMLP, shift: m.shiftMLP))
    }
    return ending.feedForward(x, gates: modulations.map(\.gateMLP), residuals: attended, taps: inputs.map(\.tap))
  }
}
