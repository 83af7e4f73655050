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

  /// Videos whose pictures have more pixels are decoded and encoded in overlapping tiles, each half as high and as wide as
  /// the videos the model is made for. That bounds the memory and changes the result slightly, as diffusers'
  /// `enable_tiling` does.
  public var tilesAbovePixels = 1 << 17

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
    let moments = tiled(video, scale: 1, to: config.scale) { tile in
      var caches = CausalCaches()
      return inParts(tile, frames: Self.videoFrames) { part in
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
    tiled(latents, scale: config.scale, to: 1) { tile in
      var caches = CausalCaches()
      return inParts(tile, frames: Self.latentFrames) { part in decoder(postQuantConv?(part) ?? part, &caches) }
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
  private func inParts(_ x: Tensor, frames: Int, _ transform: (Tensor) -> Tensor) -> Tensor {
    let count = x.shape[2], parts = max(1, count / frames), remaining = count % frames
    let results = (0..<parts).map { index in
      let start = index == 0 ? 0 : frames * index + remaining
      return transform(x.narrow(2, from: start, count: min(count, frames * (index + 1) + remaining) - start))
    }
    return results.count == 1 ? results[0] : concatenated(results, axis: 2)
  }

  private func isTiled(height: Int, width: Int) -> Bool {
    height * width > tilesAbovePixels && (height > config.sampleHeight / 2 || width > config.sampleWidth / 2)
  }

  /// - Parameter scale: pixels per row and column before and after the transform
  private func tiled(_ x: Tensor, scale: Int, to result: Int, _ transform: (Tensor) -> Tensor) -> Tensor {
    let tile = (height: config.sampleHeight / 2, width: config.sampleWidth / 2)
    let pixels = (height: x.shape[3] * scale, width: x.shape[4] * scale)
    guard isTiled(height: pixels.height, width: pixels.width) else { return transform(x) }
    let tiling = Tiling(
      rows: .init(index: 3, before: tile.height / scale, after: tile.height / result, overlap: 1.0 / 6),
      columns: .init(index: 4, before: tile.width / scale, after: tile.width / result, overlap: 1.0 / 5))
    return tiling(x, transform)
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

  /// What the last level holds at full size, for the frames that are decoded together: input, normalised input and result
  /// of its widest convolution, and the caches of all its convolutions.
  public func decodingBytes(_ size: FrameSize) -> Int {
    let isTiled = isTiled(height: size.height, width: size.width)
    let pixels =
      isTiled
      ? min(size.height, config.sampleHeight / 2) * min(size.width, config.sampleWidth / 2)
      : size.height * size.width
    let frames = (Self.latentFrames) * config.temporalCompressionRatio + 1
    let bottom = config.blockOutChannels[0], widest = config.blockOutChannels.prefix(2).max() ?? bottom
    let cached = 2 * (widest + bottom * (2 * config.layersPerBlock + 2))
    return 4 * pixels * (min(size.frames, frames) * (2 * widest + 2 * bottom) + cached)
  }
}
