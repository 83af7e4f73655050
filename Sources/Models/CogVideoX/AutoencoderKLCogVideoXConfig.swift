/// `vae/config.json` of CogVideoX's video autoencoder.
///
/// Source: diffusers `AutoencoderKLCogVideoX`.
public struct AutoencoderKLCogVideoXConfig: Sendable, Decodable, Equatable {
  public var inChannels, outChannels, latentChannels: Int
  public var blockOutChannels: [Int]
  public var layersPerBlock, normGroups: Int
  public var normEps: Float
  /// Frames of video per frame of latents; a power of 2.
  public var temporalCompressionRatio: Int
  /// Pixels of the videos it is made for; tiles have half of them.
  public var sampleHeight, sampleWidth: Int
  /// Latents are multiplied by this before the transformer sees them.
  public var scalingFactor: Float
  /// Whether the latents of a picture to start from are divided by it instead.
  public var invertsImageScale: Bool
  public var useQuantConv, usePostQuantConv: Bool

  /// Pixels per latent along height and width.
  public var scale: Int { 1 << (blockOutChannels.count - 1) }
  /// Levels that halve the number of frames, or double it.
  var temporalLevels: Int { temporalCompressionRatio.trailingZeroBitCount }

  enum CodingKeys: String, CodingKey {
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case latentChannels = "latent_channels"
    case blockOutChannels = "block_out_channels"
    case layersPerBlock = "layers_per_block"
    case normGroups = "norm_num_groups"
    case normEps = "norm_eps"
    case temporalCompressionRatio = "temporal_compression_ratio"
    case sampleHeight = "sample_height"
    case sampleWidth = "sample_width"
    case scalingFactor = "scaling_factor"
    case invertsImageScale = "invert_scale_latents"
    case useQuantConv = "use_quant_conv"
    case usePostQuantConv = "use_post_quant_conv"
    case activation = "act_fn"
    case downBlockTypes = "down_block_types"
    case upBlockTypes = "up_block_types"
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    // Videos have three channels, whatever a model is made of.
    inChannels = try values.decodeInteger(.inChannels, in: 3...3, default: 3)
    outChannels = try values.decodeInteger(.outChannels, in: 3...3, default: 3)
    latentChannels = try values.decodeSize(.latentChannels, atMost: 1 << 12, default: 16)
    // Half the size per entry but the last.
    blockOutChannels = try values.decodeList(
      .blockOutChannels, of: 1...ConfigLimit.width, count: 1...8, default: [128, 256, 256, 512])
    layersPerBlock = try values.decodeSize(.layersPerBlock, atMost: 64, default: 3)
    normGroups = try values.decodeSize(.normGroups, atMost: ConfigLimit.width, default: 32)
    normEps = try values.decodeNumber(.normEps, in: 0...1, default: 1e-6)
    // A whole number that some configurations write as 4.0.
    let ratio = try values.decodeIfPresent(Double.self, forKey: .temporalCompressionRatio) ?? 4
    temporalCompressionRatio = Int(exactly: ratio) ?? 0
    // Tiles are half as large, and have one latent at least.
    let sides = 2 * (1 << (blockOutChannels.count - 1))...ConfigLimit.side
    sampleHeight = try values.decodeInteger(.sampleHeight, in: sides, default: 480)
    sampleWidth = try values.decodeInteger(.sampleWidth, in: sides, default: 720)
    scalingFactor = try values.decodeNumber(.scalingFactor, in: 1e-6...1e6, default: 1.15258426)
    invertsImageScale = try values.decodeIfPresent(Bool.self, forKey: .invertsImageScale) ?? false
    useQuantConv = try values.decodeIfPresent(Bool.self, forKey: .useQuantConv) ?? false
    usePostQuantConv = try values.decodeIfPresent(Bool.self, forKey: .usePostQuantConv) ?? false
    try validate(values)
  }

  private func validate(_ values: KeyedDecodingContainer<CodingKeys>) throws {
    let activation = try values.decodeIfPresent(String.self, forKey: .activation) ?? "silu"
    guard activation == "silu" else { throw values.corrupted(.activation, "'\(activation)', expected silu") }
    for (key, expected) in [
      (CodingKeys.downBlockTypes, "CogVideoXDownBlock3D"), (.upBlockTypes, "CogVideoXUpBlock3D"),
    ] {
      let types = try values.decodeIfPresent([String].self, forKey: key) ?? []
      guard types.allSatisfy({ $0 == expected }) else { throw values.corrupted(key, "\(types), expected \(expected)") }
    }
    guard blockOutChannels.allSatisfy({ $0 % normGroups == 0 }) else {
      throw values.corrupted(
        .blockOutChannels, "\(blockOutChannels), expected multiples of norm_num_groups \(normGroups)")
    }
    guard temporalCompressionRatio > 0, temporalCompressionRatio & (temporalCompressionRatio - 1) == 0,
      temporalLevels < blockOutChannels.count
    else {
      throw values.corrupted(
        .temporalCompressionRatio,
        "\(temporalCompressionRatio) is not a power of 2 that \(blockOutChannels.count) levels can give")
    }
  }
}
