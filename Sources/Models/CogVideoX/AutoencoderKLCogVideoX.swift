import NN
import Tensor

/// CogVideoX's video autoencoder: no frame sees a later one, so that videos go through it part by part.
///
/// Source: arXiv 2408.06072 §2.1; diffusers `AutoencoderKLCogVideoX`.
public struct AutoencoderKLCogVideoX: Sendable {
  public let config: AutoencoderKLCogVideoXConfig
  let encoder: CogVideoXEncoder
  let decoder: CogVideoXDecoder
  let quantConv, postQuantConv: Conv3d?

  /// Videos of more pixels, in the frames that go through it together, are decoded and encoded in overlapping tiles, each
  /// half as high and as wide as the videos the model is made for. That bounds the memory and changes the result slightly,
  /// as diffusers' `enable_tiling` does.
  public var tilesAbovePixels = 1 << 20

  /// Frames that go through it together, with the caches that the convolutions keep for the next ones.
  private static let videoFrames = 8, latentFrames = 2

  public init(_ config: AutoencoderKLCogVideoXConfig, _ w: Weights) {
    self.config = config
    encoder = CogVideoXEncoder(config, w["encoder"])
    decoder = CogVideoXDecoder(config, w["decoder"])
    // Sizes as diffusers has them.
    let channels = config.outChannels
    quantConv = config.useQuantConv ? Conv3d(2 * channels, 2 * channels, kernel: 1, w["quant_conv"]) : nil
    postQuantConv = config.usePostQuantConv ? Conv3d(channels, channels, kernel: 1, w["post_quant_conv"]) : nil
  }

  /// - Parameter video: `[batch, 3, frames, height, width]` in -1 … 1, sides multiples of `config.scale`; one frame, a
  ///   multiple of 4, or one more
  /// - Returns: a distribution over `[batch, latentChannels, latentFrames, height / scale, width / scale]`
  public func encode(_ video: Tensor) -> DiagonalGaussian {
    let size = FrameSize(frames: video.shape[2], height: video.shape[3], width: video.shape[4])
    let moments = tiled(video, scale: 1, to: config.scale, of: size) { tile in
      inParts(tile, frames: Self.videoFrames) { part, caches in
        let moments = encoder(part, &caches)
        return quantConv?(moments) ?? moments
      }
    }
    let parts = moments.chunked(2, axis: 1)
    return DiagonalGaussian(mean: parts[0], logVariance: parts[1].clamped(min: -30, max: 20))
  }

  /// - Parameter latents: `[batch, latentChannels, latentFrames, height, width]`, unscaled
  /// - Returns: `[batch, 3, frames, height * scale, width * scale]`, about -1 … 1; see `frames(ofLatents:)`
  public func decode(_ latents: Tensor) -> Tensor {
    let size = FrameSize(
      frames: frames(ofLatents: latents.shape[2]), height: latents.shape[3] * scale, width: latents.shape[4] * scale)
    return tiled(latents, scale: config.scale, to: 1, of: size) { tile in
      inParts(tile, frames: Self.latentFrames) { part, caches in decoder(postQuantConv?(part) ?? part, &caches) }
    }
  }

  /// Frames of video that frames of latents are decoded to: an odd number keeps its first frame single.
  public func frames(ofLatents count: Int) -> Int {
    count % 2 == 1 ? (count - 1) * config.temporalCompressionRatio + 1 : count * config.temporalCompressionRatio
  }

  /// Frames of latents that frames of video are encoded to, and denoised for.
  public func latentFrames(of count: Int) -> Int { (count - 1) / config.temporalCompressionRatio + 1 }

  /// The frame of latents that each frame of a video comes from.
  public func latentFrames(ofEach count: Int) -> [Int] {
    CogVideoXNorm.coarseFrames(count, of: latentFrames(of: count))
  }

  /// Latents as the transformer sees them.
  public func scaled(_ latents: Tensor) -> Tensor { latents * config.scalingFactor }

  /// Latents as the decoder sees them.
  public func unscaled(_ latents: Tensor) -> Tensor { latents * (1 / config.scalingFactor) }

  /// Parts of `frames` frames, the first one longer by what remains.
  private func inParts(_ x: Tensor, frames: Int, _ transform: (Tensor, inout CausalCaches) -> Tensor) -> Tensor {
    let count = x.shape[2], parts = max(1, count / frames), remaining = count % frames
    var caches = CausalCaches()
    let results = (0..<parts).map { index in
      let start = index == 0 ? 0 : frames * index + remaining
      caches.isLast = index == parts - 1
      return transform(x.narrow(2, from: start, count: min(count, frames * (index + 1) + remaining) - start), &caches)
    }
    return results.count == 1 ? results[0] : concatenated(results, axis: 2)
  }

  /// - Parameter size: of the video
  private func isTiled(_ size: FrameSize) -> Bool {
    let (height, width) = (size.height, size.width)
    return height * width * min(size.frames, Self.videoFrames) > tilesAbovePixels
      && (height > config.sampleHeight / 2 || width > config.sampleWidth / 2)
  }

  /// - Parameter scale: pixels per row and column before and after the transform
  private func tiled(
    _ x: Tensor, scale: Int, to result: Int, of size: FrameSize, _ transform: (Tensor) -> Tensor
  ) -> Tensor {
    isTiled(size) ? tiling(scale: scale, to: result)(x, transform) : transform(x)
  }

  /// Tiles hold whole latents and begin at whole ones, also where the reference's would not and it fails.
  private func tiling(scale: Int, to result: Int) -> Tiling {
    func axis(_ index: Int, _ pixels: Int, overlap: Double) -> Tiling.Axis {
      let pixels = pixels / config.scale * config.scale
      return .init(
        index: index, before: pixels / scale, after: pixels / result, overlap: overlap, multiple: config.scale / scale)
    }
    return Tiling(
      rows: axis(3, config.sampleHeight / 2, overlap: 1.0 / 6),
      columns: axis(4, config.sampleWidth / 2, overlap: 1.0 / 5))
  }
}

extension AutoencoderKLCogVideoX: LatentCodec {
  public var scale: Int { config.scale }

  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] {
    [batch, latentFrames(of: size.frames), config.latentChannels, size.height / scale, size.width / scale]
  }

  public func posterior(of frames: Tensor) -> DiagonalGaussian {
    let posterior = encode(frames.transposed(1, 2))
    return DiagonalGaussian(
      mean: posterior.mean.transposed(1, 2), logVariance: posterior.logVariance.transposed(1, 2))
  }

  public func frames(of latents: Tensor) -> Tensor { decode(latents.transposed(1, 2)).transposed(1, 2) }

  public func decodedPixels(_ size: FrameSize) -> Int {
    let frames = frames(ofLatents: latentFrames(of: size.frames))
    guard isTiled(size) else { return frames * size.height * size.width }
    let tiling = tiling(scale: scale, to: 1)
    return frames * tiling.rows.covered(size.height / scale) * tiling.columns.covered(size.width / scale) * scale
      * scale
  }

  /// What the last level holds at full size, for the frames that are decoded together: input, normalised input and result
  /// of its widest convolution, and the caches of all its convolutions where a part follows.
  public func decodingBytes(_ size: FrameSize) -> Int {
    let pixels =
      isTiled(size)
      ? min(size.height, config.sampleHeight / 2) * min(size.width, config.sampleWidth / 2)
      : size.height * size.width
    let frames = (Self.latentFrames) * config.temporalCompressionRatio + 1
    let bottom = config.blockOutChannels[0], widest = config.blockOutChannels.prefix(2).max() ?? bottom
    let parts = latentFrames(of: size.frames) / Self.latentFrames
    let cached = parts > 1 ? 2 * (widest + bottom * (2 * config.layersPerBlock + 2)) : 0
    return 4 * pixels * (min(size.frames, frames) * (2 * widest + 2 * bottom) + cached)
  }
}
