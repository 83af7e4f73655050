/// `transformer/config.json` of Stable Diffusion 3 and 3.5.
///
/// Source: diffusers `SD3Transformer2DModel`.
public struct SD3Config: Sendable, Decodable, Equatable {
  /// Rows and columns of the latents the position table's unit is made for.
  public var sampleSize: Int
  /// Rows and columns of latents that make one token.
  public var patchSize: Int
  public var inChannels, outChannels: Int
  public var numLayers: Int
  public var attentionHeadDim, numAttentionHeads: Int
  public var jointAttentionDim, pooledProjectionDim: Int
  /// Rows and columns of the position table: the largest picture, in tokens.
  public var posEmbedMaxSize: Int
  /// The blocks whose image tokens attend once more among themselves (SD3.5 Medium).
  public var dualAttentionLayers: Set<Int>
  /// Whether queries and keys are normalised (SD3.5).
  public var queryKeyNorm: Bool

  /// Width of the residual streams.
  public var dim: Int { attentionHeadDim * numAttentionHeads }

  enum CodingKeys: String, CodingKey {
    case sampleSize = "sample_size"
    case patchSize = "patch_size"
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case numLayers = "num_layers"
    case attentionHeadDim = "attention_head_dim"
    case numAttentionHeads = "num_attention_heads"
    case jointAttentionDim = "joint_attention_dim"
    case captionProjectionDim = "caption_projection_dim"
    case pooledProjectionDim = "pooled_projection_dim"
    case posEmbedMaxSize = "pos_embed_max_size"
    case dualAttentionLayers = "dual_attention_layers"
    case qkNorm = "qk_norm"
  }

  public init(
    sampleSize: Int = 128, patchSize: Int = 2, inChannels: Int = 16, outChannels: Int? = nil, numLayers: Int,
    attentionHeadDim: Int = 64, numAttentionHeads: Int, jointAttentionDim: Int = 4096, pooledProjectionDim: Int = 2048,
    posEmbedMaxSize: Int = 192, dualAttentionLayers: Set<Int> = [], queryKeyNorm: Bool = true
  ) {
    self.sampleSize = sampleSize
    self.patchSize = patchSize
    self.inChannels = inChannels
    self.outChannels = outChannels ?? inChannels
    self.numLayers = numLayers
    self.attentionHeadDim = attentionHeadDim
    self.numAttentionHeads = numAttentionHeads
    self.jointAttentionDim = jointAttentionDim
    self.pooledProjectionDim = pooledProjectionDim
    self.posEmbedMaxSize = posEmbedMaxSize
    self.dualAttentionLayers = dualAttentionLayers
    self.queryKeyNorm = queryKeyNorm
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    sampleSize = try values.decodeSize(.sampleSize, atMost: ConfigLimit.side, default: 128)
    patchSize = try values.decodeSize(.patchSize, atMost: min(16, sampleSize), default: 2)
    inChannels = try values.decodeSize(.inChannels, atMost: ConfigLimit.width, default: 16)
    outChannels = try values.decodeSize(.outChannels, atMost: ConfigLimit.width, default: inChannels)
    numLayers = try values.decodeSize(.numLayers, atMost: ConfigLimit.layers, default: 18)
    attentionHeadDim = try values.decodeSize(.attentionHeadDim, atMost: ConfigLimit.headDim, default: 64)
    numAttentionHeads = try values.decodeSize(.numAttentionHeads, atMost: ConfigLimit.heads, default: 18)
    jointAttentionDim = try values.decodeSize(.jointAttentionDim, atMost: ConfigLimit.width, default: 4096)
    pooledProjectionDim = try values.decodeSize(.pooledProjectionDim, atMost: ConfigLimit.width, default: 2048)
    posEmbedMaxSize = try values.decodeSize(.posEmbedMaxSize, atMost: 512, default: 96)
    dualAttentionLayers = Set(
      try values.decodeList(
        .dualAttentionLayers, of: 0...numLayers - 1, count: 0...ConfigLimit.layers, default: []))
    let norm = try values.decodeIfPresent(String.self, forKey: .qkNorm)
    queryKeyNorm = norm != nil
    let captionDim = try values.decodeSize(.captionProjectionDim, atMost: ConfigLimit.width, default: 1152)
    if let norm, norm != "rms_norm" { throw values.corrupted(.qkNorm, "'\(norm)', expected rms_norm") }
    guard dim <= ConfigLimit.width, dim % 4 == 0, captionDim == dim else {
      throw values.corrupted(
        .captionProjectionDim,
        "\(captionDim) is not attention_head_dim \(attentionHeadDim) × num_attention_heads \(numAttentionHeads), "
          + "or not a multiple of 4")
    }
  }
}
