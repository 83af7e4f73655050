import NN
import Tensor

extension FluxPipeline {
  /// The latents a picture stands for, as the transformer sees them.
  ///
  /// - Parameter image: `[height, width, 3]`, `u8`, sides multiples of the autoencoder's scale
  /// - Returns: `[1, channels, height / scale, width / scale]`, the mean of the posterior
  public func encodePicture(_ image: Tensor) -> Tensor {
    let pixels = (image.converted(to: .f32) / 127.5 - 1).permuted(2, 0, 1).expanded(axis: 0)
    return vae.scaled(vae.encode(pixels.contiguous()).mean)
  }

  /// Two by two latents side by side make one token.
  ///
  /// - Parameter latents: `[batch, channels, height, width]`
  /// - Returns: `[batch, (height / 2) * (width / 2), channels * 4]`
  func packed(_ latents: Tensor) -> Tensor {
    latents.rearranged("b c (h p) (w q) -> b (h w) (c p q)", ["p": 2, "q": 2])
  }

  func unpacked(_ tokens: Tensor, _ grid: TokenGrid) -> Tensor {
    tokens.rearranged("b (h w) (c p q) -> b c (h p) (w q)", ["h": grid.height, "w": grid.width, "p": 2, "q": 2])
  }

  package func startingNoise(_ request: GenerationRequest, _ grid: TokenGrid) throws -> Tensor {
    let batch = request.prompts.count
    if let latents = request.latents {
      let expected = [batch, grid.count, flux.config.inChannels]
      guard latents.shape == expected else { throw RequestError.badLatents(found: latents.shape, expected: expected) }
      return latents.converted(to: .f32)
    }
    var generator = Generator(seed: request.seed)
    return noise(&generator, batch: batch, grid, request.noiseType, packed: false)
  }

  /// Noise as diffusers draws it, latents first, then packed; or drawn for packed tokens.
  ///
  /// - Returns: `[batch, grid.count, inChannels]`
  func noise(_ generator: inout Generator, batch: Int, _ grid: TokenGrid, _ type: DType, packed isPacked: Bool) -> Tensor {
    let channels = flux.config.inChannels
    if isPacked { return generator.randn([batch, grid.count, channels], dtype: type).converted(to: .f32) }
    let latents = generator.randn([batch, channels / 4, 2 * grid.height, 2 * grid.width], dtype: type)
    return packed(latents.converted(to: .f32))
  }
}
