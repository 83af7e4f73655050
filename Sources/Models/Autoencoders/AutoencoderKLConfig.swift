/// `vae/config.json` of an image autoencoder.
///
/// Source: diffusers `AutoencoderKL`.
public struct AutoencoderKLConfig: Sendable, Decodable, Equatable {
  public var inChannels, outChannels, latentChannels: Int
  public var blockOutChannels: [Int]
  public var layersPerBlock, normGroups, sampleSize: Int
  /// Latents are multiplied by this before the transformer sees them, after `shiftFactor` is subtracted.
  public var scalingFactor: Float
  public var shiftFactor: Float
  public var useQuantConv, usePostQuantConv, midBlockAddAttention: Bool

  /// Pixels per latent along height and width.
  public var scale: Int { 1 << (blockOutChannels.count - 1) }

  enum CodingKeys: String, CodingKey {
    case inChannels = "in_channels"
    case outChannels = "out_channels"
    case latentChannels = "latent_channels"
    case blockOutChannels = "block_out_channels"
    case layersPerBlock = "layers_per_block"
    case normGroups = "norm_num_groups"
    case sampleSize = "sample_size"
    case scalingFactor = "scaling_factor"
    case shiftFactor = "shift_factor"
    case useQuantConv = "use_quant_conv"
    case usePostQuantConv = "use_post_quant_conv"
    case midBlockAddAttention = "mid_block_add_attention"
    case activation = "act_fn"
  }

  /// Of Stable Diffusion 3 and 3.5, for a file without a configuration.
  public static let stableDiffusion3 = AutoencoderKLConfig(scalingFactor: 1.5305, shiftFactor: 0.0609)

  /// Of FLUX.1.
  public static let flux1 = AutoencoderKLConfig(scalingFactor: 0.3611, shiftFactor: 0.1159)

  /// The autoencoders of 16 channels: those of Stable Diffusion 3 and FLUX.1 have the same shape.
  init(scalingFactor: Float, shiftFactor: Float) {
    inChannels = 3
    outChannels = 3
    latentChannels = 16
    blockOutChannels = [128, 256, 512, 512]
    layersPerBlock = 2
    normGroups = 32
    sampleSize = 1024
    self.scalingFactor = scalingFactor
    self.shiftFactor = shiftFactor
    useQuantConv = false
    usePostQuantConv = false
    midBlockAddAttention = true
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    // Pictures have three channels, whatever a model is made of.
    inChannels = try values.decodeInteger(.inChannels, in: 3...3, default: 3)
    outChannels = try values.decodeInteger(.outChannels, in: 3...3, default: 3)
    latentChannels = try values.decodeSize(.latentChannels, atMost: 1 << 12, default: 4)
    // Half the size per entry but the last.
    blockOutChannels = try values.decodeList(.blockOutChannels, of: 1...ConfigLimit.width, count: 1...8)
    layersPerBlock = try values.decodeSize(.layersPerBlock, atMost: 64, default: 1)
    normGroups = try values.decodeSize(.normGroups, atMost: ConfigLimit.width, default: 32)
    sampleSize = try values.decodeSize(.sampleSize, atMost: ConfigLimit.side, default: 32)
    scalingFactor = try values.decodeNumber(.scalingFactor, in: 1e-6...1e6, default: 0.18215)
    shiftFactor = try values.decodeNumber(.shiftFactor, in: -1e6...1e6, default: 0)
    useQuantConv = try values.decodeIfPresent(Bool.self, forKey: .useQuantConv) ?? true
    usePostQuantConv = try values.decodeIfPresent(Bool.self, forKey: .usePostQuantConv) ?? true
    midBlockAddAttention = try values.decodeIfPresent(Bool.self, forKey: .midBlockAddAttention) ?? true
    let activation = try values.decodeIfPresent(String.self, forKey: .activation) ?? "silu"
    guard activation == "silu" else { throw values.corrupted(.activation, "'\(activation)', expected silu") }
    guard blockOutChannels.allSatisfy({ $0 % normGroups == 0 }) else {
      throw values.corrupted(
        .blockOutChannels, "\(blockOutChannels), expected multiples of norm_num_groups \(normGroups)")
    }
  }
}
