import NN

/// `transformer/config.json` of a CogVideoX model.
///
/// Source: diffusers `CogVideoXTransformer3DModel`.
public struct CogVideoXConfig: Sendable, Decodable, Equatable {
  /// How video tokens are told where they are.
  public enum Positions: String, Sendable {
    /// A fixed table of sines and cosines, added to the tokens (2B).
    case sinCos
    /// Rotated queries and keys (5B, 1.5).
    case rotary
    /// Rotated queries and keys, and a learned table for one size of video (5B image-to-video).
    case rotaryAndLearned
  }

  public var attentionHeadDim, numAttentionHeads: Int
  public var numLayers: Int
  /// Channels of the latents, and those of a picture to start from where the model takes one.
  public var inChannels, outChannels: Int
  public var timeEmbedDim: Int
  /// Width of the embedding of the "ofs" scale (1.5 image-to-video); nil without.
  public var ofsEmbedDim: Int?
  /// Width of the text encoder's states.
  public var textEmbedDim: Int
  public var maxTextSequenceLength: Int
  /// Latents, in rows and columns, and frames of video that the model is made for.
  public var sampleHeight, sampleWidth, sampleFrames: Int
  /// Rows and columns of latents that make one token.
  public var patchSize: Int
  /// Frames of latents that make one token (1.5); nil for one, whose projection is then a convolution.
  public var temporalPatchSize: Int?
  public var temporalCompressionRatio: Int
  public var positions: Positions
  public var attentionBias, patchBias, normElementwiseAffine, flipSinToCos: Bool
  public var normEps, frequencyShift: Float
  public var spatialInterpolationScale, temporalInterpolationScale: Float
  public var activation: FeedForward.Variant

  /// Width of the residual streams.
  public var dim: Int { attentionHeadDim * numAttentionHeads }
  /// Whether the model continues a picture: it takes the picture's latents beside the noisy ones.
  public var takesImage: Bool { inChannels == 2 * outChannels }
  public var usesRotary: Bool { positions != .sinCos }
  /// Frames of latents of the video the model is made for.
  public var sampleLatentFrames: Int { (sampleFrames - 1) / temporalCompressionRatio + 1 }

  enum CodingKeys: String, CodingKey {
    case attentionHeadDim = "attention_head_dim"
    case numAttentionHeads = "num_attention_heads"
    case numLayers = "num_layers"
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case timeEmbedDim = "time_embed_dim"
    case ofsEmbedDim = "ofs_embed_dim"
    case textEmbedDim = "text_embed_dim"
    case maxTextSequenceLength = "max_text_seq_length"
    case sampleHeight = "sample_height"
    case sampleWidth = "sample_width"
    case sampleFrames = "sample_frames"
    case patchSize = "patch_size"
    case temporalPatchSize = "patch_size_t"
    case temporalCompressionRatio = "temporal_compression_ratio"
    case usesRotary = "use_rotary_positional_embeddings"
    case usesLearned = "use_learned_positional_embeddings"
    case attentionBias = "attention_bias"
    case patchBias = "patch_bias"
    case normElementwiseAffine = "norm_elementwise_affine"
    case flipSinToCos = "flip_sin_to_cos"
    case normEps = "norm_eps"
    case frequencyShift = "freq_shift"
    case spatialInterpolationScale = "spatial_interpolation_scale"
    case temporalInterpolationScale = "temporal_interpolation_scale"
    case activation = "activation_fn"
    case timestepActivation = "timestep_activation_fn"
  }
}

extension CogVideoXConfig {
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func flag(_ key: CodingKeys, _ standard: Bool) throws -> Bool {
      try values.decodeIfPresent(Bool.self, forKey: key) ?? standard
    }
    func size(_ key: CodingKeys, _ limit: Int, _ standard: Int) throws -> Int {
      try values.decodeSize(key, atMost: limit, default: standard)
    }
    func optional(_ key: CodingKeys, _ limit: Int) throws -> Int? {
      // The reference takes 0 for none.
      (try values.decodeIfPresent(Int.self, forKey: key) ?? 0) == 0 ? nil : try values.decodeSize(key, atMost: limit)
    }
    attentionHeadDim = try size(.attentionHeadDim, ConfigLimit.headDim, 64)
    numAttentionHeads = try size(.numAttentionHeads, ConfigLimit.heads, 30)
    numLayers = try size(.numLayers, ConfigLimit.layers, 30)
    inChannels = try size(.inChannels, ConfigLimit.width, 16)
    outChannels = try size(.outChannels, ConfigLimit.width, 16)
    timeEmbedDim = try size(.timeEmbedDim, ConfigLimit.width, 512)
    ofsEmbedDim = try optional(.ofsEmbedDim, ConfigLimit.width)
    textEmbedDim = try size(.textEmbedDim, ConfigLimit.width, 4096)
    maxTextSequenceLength = try size(.maxTextSequenceLength, ConfigLimit.width, 226)
    sampleHeight = try size(.sampleHeight, 1 << 12, 60)
    sampleWidth = try size(.sampleWidth, 1 << 12, 90)
    sampleFrames = try size(.sampleFrames, 1 << 12, 49)
    patchSize = try size(.patchSize, min(16, sampleHeight, sampleWidth), 2)
    temporalPatchSize = try optional(.temporalPatchSize, 16)
    temporalCompressionRatio = try size(.temporalCompressionRatio, 64, 4)
    let usesRotary = try flag(.usesRotary, false), usesLearned = try flag(.usesLearned, false)
    guard usesRotary || !usesLearned else {
      throw values.corrupted(.usesLearned, "true without use_rotary_positional_embeddings, which no model has")
    }
    positions = usesLearned ? .rotaryAndLearned : usesRotary ? .rotary : .sinCos
    attentionBias = try flag(.attentionBias, true)
    patchBias = try flag(.patchBias, true)
    normElementwiseAffine = try flag(.normElementwiseAffine, true)
    flipSinToCos = try flag(.flipSinToCos, true)
    normEps = try values.decodeNumber(.normEps, in: 0...1, default: 1e-5)
    frequencyShift = try values.decodeNumber(.frequencyShift, in: -1e3...1e3, default: 0)
    spatialInterpolationScale = try values.decodeNumber(.spatialInterpolationScale, in: 1e-3...1e3, default: 1.875)
    temporalInterpolationScale = try values.decodeNumber(.temporalInterpolationScale, in: 1e-3...1e3, default: 1)
    activation = try values.activation()
    try validate(values)
  }

  private func validate(_ values: KeyedDecodingContainer<CodingKeys>) throws {
    let timestepActivation = try values.decodeIfPresent(String.self, forKey: .timestepActivation) ?? "silu"
    guard timestepActivation == "silu" else {
      throw values.corrupted(.timestepActivation, "'\(timestepActivation)', expected silu")
    }
    // A quarter of a head turns with the frame and three eighths with row and column, in pairs of channels.
    let unit = usesRotary ? 16 : 2
    guard dim <= ConfigLimit.width, attentionHeadDim % unit == 0, usesRotary || dim % 16 == 0 else {
      throw values.corrupted(
        .attentionHeadDim,
        "\(attentionHeadDim) with num_attention_heads \(numAttentionHeads): positions in three axes need "
          + (usesRotary ? "heads that are a multiple of 16" : "a width that is a multiple of 16"))
    }
    if let ofsEmbedDim, ofsEmbedDim != timeEmbedDim {
      throw values.corrupted(.ofsEmbedDim, "\(ofsEmbedDim) is not time_embed_dim \(timeEmbedDim), to which it is added")
    }
    guard inChannels == outChannels || takesImage else {
      throw values.corrupted(
        .inChannels, "\(inChannels), expected out_channels \(outChannels), or twice that for image-to-video")
    }
  }
}

extension KeyedDecodingContainer<CogVideoXConfig.CodingKeys> {
  fileprivate func activation() throws -> FeedForward.Variant {
    let name = try decodeIfPresent(String.self, forKey: .activation) ?? "gelu-approximate"
    guard let variant = FeedForward.Variant(rawValue: name) else {
      throw corrupted(.activation, "'\(name)', expected gelu, gelu-approximate or geglu")
    }
    return variant
  }
}
