/// `transformer/config.json` of a FLUX.1 model.
///
/// Source: diffusers `FluxTransformer2DModel`.
public struct FluxConfig: Sendable, Codable, Equatable {
  public var inChannels: Int
  public var outChannels: Int?
  public var numLayers: Int
  public var numSingleLayers: Int
  public var attentionHeadDim: Int
  public var numAttentionHeads: Int
  public var jointAttentionDim: Int
  public var pooledProjectionDim: Int
  public var guidanceEmbeds: Bool
  public var axesDimsRope: [Int]

  /// Width of the residual streams.
  public var dim: Int { attentionHeadDim * numAttentionHeads }

  enum CodingKeys: String, CodingKey {
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case numLayers = "num_layers"
    case numSingleLayers = "num_single_layers"
    case attentionHeadDim = "attention_head_dim"
    case numAttentionHeads = "num_attention_heads"
    case jointAttentionDim = "joint_attention_dim"
    case pooledProjectionDim = "pooled_projection_dim"
    case guidanceEmbeds = "guidance_embeds"
    case axesDimsRope = "axes_dims_rope"
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    inChannels = try values.decodeIfPresent(Int.self, forKey: .inChannels) ?? 64
    outChannels = try values.decodeIfPresent(Int.self, forKey: .outChannels)
    numLayers = try values.decode(Int.self, forKey: .numLayers)
    numSingleLayers = try values.decode(Int.self, forKey: .numSingleLayers)
    attentionHeadDim = try values.decode(Int.self, forKey: .attentionHeadDim)
    numAttentionHeads = try values.decode(Int.self, forKey: .numAttentionHeads)
    jointAttentionDim = try values.decode(Int.self, forKey: .jointAttentionDim)
    pooledProjectionDim = try values.decode(Int.self, forKey: .pooledProjectionDim)
    guidanceEmbeds = try values.decodeIfPresent(Bool.self, forKey: .guidanceEmbeds) ?? false
    axesDimsRope = try values.decodeIfPresent([Int].self, forKey: .axesDimsRope) ?? [16, 56, 56]
    try validate(decoder)
  }

  public init(
    inChannels: Int = 64, outChannels: Int? = nil, numLayers: Int = 19, numSingleLayers: Int = 38,
    attentionHeadDim: Int = 128, numAttentionHeads: Int = 24, jointAttentionDim: Int = 4096,
    pooledProjectionDim: Int = 768, guidanceEmbeds: Bool, axesDimsRope: [Int] = [16, 56, 56]
  ) {
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.numLayers = numLayers
    self.numSingleLayers = numSingleLayers
    self.attentionHeadDim = attentionHeadDim
    self.numAttentionHeads = numAttentionHeads
    self.jointAttentionDim = jointAttentionDim
    self.pooledProjectionDim = pooledProjectionDim
    self.guidanceEmbeds = guidanceEmbeds
    self.axesDimsRope = axesDimsRope
  }

  private func validate(_ decoder: any Decoder) throws {
    func fail(_ key: CodingKeys, _ text: String) -> DecodingError {
      .dataCorrupted(.init(codingPath: decoder.codingPath + [key], debugDescription: text))
    }
    for (key, value) in [
      (CodingKeys.inChannels, inChannels), (.attentionHeadDim, attentionHeadDim),
      (.numAttentionHeads, numAttentionHeads), (.jointAttentionDim, jointAttentionDim),
      (.pooledProjectionDim, pooledProjectionDim),
    ] where value < 1 || value > 1 << 20 {
      throw fail(key, "\(key.rawValue) is \(value), expected a positive size")
    }
    for (key, value) in [(CodingKeys.numLayers, numLayers), (.numSingleLayers, numSingleLayers)]
    where value < 0 || value > 10_000 {
      throw fail(key, "\(key.rawValue) is \(value), expected a number of blocks")
    }
    guard axesDimsRope.allSatisfy({ $0 > 0 && $0 % 2 == 0 }), axesDimsRope.reduce(0, +) == attentionHeadDim else {
      throw fail(
        .axesDimsRope, "axes_dims_rope \(axesDimsRope) does not add up to attention_head_dim \(attentionHeadDim)")
    }
    guard axesDimsRope.count == 3 else {
      throw fail(.axesDimsRope, "axes_dims_rope has \(axesDimsRope.count) axes, not 3")
    }
  }
}
