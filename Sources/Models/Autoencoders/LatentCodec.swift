import Tensor

/// What turns pictures and videos into latents and back. A picture is a video of one frame.
public protocol LatentCodec: Sendable {
  /// Pixels per latent along height and width.
  var scale: Int { get }

  /// The shape of latents, in the layout that noise is drawn in.
  func latentShape(_ size: FrameSize, batch: Int) -> [Int]

  /// - Parameter frames: `[batch, frames, 3, height, width]` in -1 … 1, sides multiples of `scale`
  /// - Returns: a distribution over latents of `latentShape`, as the encoder gives them
  func posterior(of frames: Tensor) -> DiagonalGaussian

  /// - Parameter latents: of `latentShape`, as the decoder takes them
  /// - Returns: `[batch, frames, 3, height, width]`, about -1 … 1
  func frames(of latents: Tensor) -> Tensor

  /// Latents as the transformer sees them, and as the decoder does.
  func scaled(_ latents: Tensor) -> Tensor
  func unscaled(_ latents: Tensor) -> Tensor

  /// Roughly how many bytes decoding takes for one picture or video.
  func decodingBytes(_ size: FrameSize) -> Int

  /// How many pixels decoding computes for one picture or video: those where tiles overlap more than once.
  func decodedPixels(_ size: FrameSize) -> Int
}

extension LatentCodec {
  public func decodedPixels(_ size: FrameSize) -> Int { size.frames * size.height * size.width }
}

/// Frames and pixels of a picture or video.
public struct FrameSize: Sendable, Hashable, Codable {
  public var frames, height, width: Int

  public init(frames: Int = 1, height: Int, width: Int) {
    self.frames = frames
    self.height = height
    self.width = width
  }
}

extension AutoencoderKL: LatentCodec {
  public var scale: Int { config.scale }

  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] {
    [batch, config.latentChannels, size.height / scale, size.width / scale]
  }

  public func posterior(of frames: Tensor) -> DiagonalGaussian { encode(frames.squeezed(1)) }

  public func frames(of latents: Tensor) -> Tensor { decode(latents).unsqueezed(1) }

  /// The convolutions at full size, input, output and what is between them, or the attention in the middle, whichever is
  /// more.
  public func decodingBytes(_ size: FrameSize) -> Int {
    let isTiled = max(size.width, size.height) > tileAbove
    let pixels = isTiled ? min(tileSize, size.width) * min(tileSize, size.height) : size.width * size.height
    let positions = pixels / (scale * scale), channels = config.blockOutChannels
    let convolutions = 3 * (channels.prefix(2).max() ?? 0) * pixels
    let attention = SpatialAttention.floats(positions: positions, channels: channels.last ?? 0)
    return 4 * max(convolutions, config.midBlockAddAttention ? attention : 0)
  }
}
