import NN
import Tensor

/// The image autoencoder of FLUX and Stable Diffusion.
///
/// Source: diffusers `AutoencoderKL`; arXiv 2112.10752.
public struct AutoencoderKL: Sendable {
  public let config: AutoencoderKLConfig
  let encoder: AutoencoderKLEncoder
  let decoder: AutoencoderKLDecoder
  let quantConv, postQuantConv: Conv2d?

  /// Pictures with a longer side (in pixels) are decoded and encoded in overlapping tiles, which bounds the memory and
  /// changes the result slightly.
  public var tileAbove = 1536
  /// Side of a tile in pixels.
  public var tileSize = 1024

  public init(_ config: AutoencoderKLConfig, _ w: Weights) {
    self.config = config
    encoder = AutoencoderKLEncoder(config, w["encoder"])
    decoder = AutoencoderKLDecoder(config, w["decoder"])
    let moments = 2 * config.latentChannels
    quantConv = config.useQuantConv ? Conv2d(moments, moments, kernel: 1, w["quant_conv"]) : nil
    postQuantConv =
      config.usePostQuantConv
      ? Conv2d(config.latentChannels, config.latentChannels, kernel: 1, w["post_quant_conv"]) : nil
  }

  /// - Parameter image: `[batch, 3, height, width]` in -1 … 1, sides multiples of `config.scale`
  /// - Returns: a distribution over `[batch, latentChannels, height / scale, width / scale]`
  public func encode(_ image: Tensor) -> DiagonalGaussian {
    let moments = tiled(image, extent: (tileSize, tileSize / config.scale)) { tile in
      let moments = encoder(tile)
      return quantConv?(moments) ?? moments
    }
    let parts = moments.chunked(2, axis: 1)
    return DiagonalGaussian(mean: parts[0], logVariance: parts[1].clamped(min: -30, max: 20))
  }

  /// - Parameter latents: `[batch, latentChannels, height, width]`, unscaled
  /// - Returns: `[batch, 3, height * scale, width * scale]`, about -1 … 1
  public func decode(_ latents: Tensor) -> Tensor {
    tiled(latents, extent: (tileSize / config.scale, tileSize)) { decoder(postQuantConv?($0) ?? $0) }
  }

  /// Latents as the transformer sees them.
  public func scaled(_ latents: Tensor) -> Tensor { (latents - config.shiftFactor) * config.scalingFactor }

  /// Latents as the decoder sees them.
  public func unscaled(_ latents: Tensor) -> Tensor { latents / config.scalingFactor + config.shiftFactor }

  /// Runs `transform` on the whole, or above `tileAbove` on tiles that overlap by a quarter.
  ///
  /// - Parameter extent: side of a tile before and after the transform
  private func tiled(_ input: Tensor, extent: (before: Int, after: Int), _ transform: (Tensor) -> Tensor) -> Tensor {
    let pixels = max(input.shape[2], input.shape[3]) * tileSize / extent.before
    guard pixels > tileAbove else { return transform(input) }
    func axis(_ index: Int) -> Tiling.Axis {
      .init(index: index, before: extent.before, after: extent.after, overlap: 0.25)
    }
    return Tiling(rows: axis(2), columns: axis(3))(input, transform)
  }
}
