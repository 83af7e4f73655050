import NN
import Tensor

/// Roughly how many bytes tensors hold at most while a request is met, in either of its two phases. Weights are not
/// counted: they are mapped from their files, and the system can drop their pages.
public struct ActivationEstimate: Sendable, Equatable {
  /// While the transformer runs.
  public let transformer: Int
  /// While latents become pictures, which is done one picture at a time.
  public let decoding: Int

  public var peak: Int { max(transformer, decoding) }
}

extension FlowMatchPipeline {
  public func activationEstimate(_ request: GenerationRequest) throws -> ActivationEstimate {
    let plan = try plan(request), pictures = request.prompts.count
    let tokens = plan.grid.count + plan.sequenceLength
    let pixels = 3 * plan.width * plan.height * pictures
    return ActivationEstimate(
      transformer: 4 * pictures * tokens * family.floatsPerToken,
      decoding: vae.decodingBytes(width: plan.width, height: plan.height) + 4 * pixels)
  }
}

extension AutoencoderKL {
  /// Roughly how many bytes one picture's decoding takes: the convolutions at full size, input, output and what is
  /// between them, or the attention in the middle, whichever is more.
  func decodingBytes(width: Int, height: Int) -> Int {
    let isTiled = max(width, height) > tileAbove
    let pixels = isTiled ? min(tileSize, width) * min(tileSize, height) : width * height
    let positions = pixels / (config.scale * config.scale), channels = config.blockOutChannels
    let convolutions = 3 * (channels.prefix(2).max() ?? 0) * pixels
    let attention = SpatialAttention.floats(positions: positions, channels: channels.last ?? 0)
    return 4 * max(convolutions, config.midBlockAddAttention ? attention : 0)
  }
}
