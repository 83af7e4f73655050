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
    inChannels = try values.decodeSize(.inChannels, atMost: ConfigLimit.width, default: 64)
    outChannels =
      try values.decodeIfPresent(Int.self, forKey: .outChannels) == nil
      ? nil : values.decodeSize(.outChannels, atMost: ConfigLimit.width)
    numLayers = try values.decodeInteger(.numLayers, in: 0...ConfigLimit.layers)
    numSingleLayers = try values.decodeInteger(.numSingleLayers, in: 0...ConfigLimit.layers)
    attentionHeadDim = try values.decodeSize(.attentionHeadDim, atMost: ConfigLimit.headDim)
    numAttentionHeads = try values.decodeSize(.numAttentionHeads, atMost: ConfigLimit.heads)
    jointAttentionDim = try values.decodeSize(.jointAttentionDim, atMost: ConfigLimit.width)
    pooledProjectionDim = try values.decodeSize(.pooledProjectionDim, atMost: ConfigLimit.width)
    guidanceEmbeds = try values.decodeIfPresent(Bool.self, forKey: .guidanceEmbeds) ?? false
    axesDimsRope = try values.decodeList(
      .axesDimsRope, of: 2...ConfigLimit.headDim, count: 3...3, default: [16, 56, 56])
    guard axesDimsRope.allSatisfy({ $0 % 2 == 0 }), axesDimsRope.reduce(0, +) == attentionHeadDim else {
      throw values.corrupted(
        .axesDimsRope, "\(axesDimsRope) are not even numbers that add up to attention_head_dim \(attentionHeadDim)")
    }
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
}
