import NN
import Tensor

extension FlowMatchPipeline {
  /// The latents a picture stands for, as a transformer sees them before they are packed.
  ///
  /// - Parameter image: `[height, width, 3]`, `u8`, sides multiples of the autoencoder's scale
  /// - Returns: `[1, channels, height / scale, width / scale]`, the mean of the posterior
  public func encodePicture(_ image: Tensor) -> Tensor { vae.scaled(posterior(image).mean) }

  private func posterior(_ image: Tensor) -> AutoencoderKL.Posterior {
    let pixels = (image.converted(to: .f32) / 127.5 - 1).permuted(2, 0, 1).expanded(axis: 0)
    return vae.encode(pixels.contiguous())
  }

  /// A picture at the planned size, `[height, width, 3]`.
  func pixels(_ image: Tensor, _ plan: FlowPlan, filter: ImageFilter) throws -> Tensor {
    guard image.rank == 3, image.shape[2] == 3, image.count > 0 else { throw RequestError.badImage(shape: image.shape) }
    if image.shape[0] == plan.height, image.shape[1] == plan.width { return image }
    return image.resizedImage(height: plan.height, width: plan.width, filter: filter)
  }

  /// What a run starts from: noise, or a picture with as much noise as the first step expects. With a picture, the
  /// generator first draws from the autoencoder's posterior, as the references do.
  package func startingLatents(
    _ request: GenerationRequest, _ plan: FlowPlan, _ schedule: FlowMatchSchedule
  ) throws -> Tensor {
    var generator = Generator(seed: request.seed)
    let picture = try request.startingImage.map { start in
      vae.scaled(posterior(try pixels(start.image, plan, filter: .lanczos)).sample(&generator))
    }
    let noise = try noise(request, &generator, plan)
    if let latents = request.latents, latents.shape != noise.shape {
      throw RequestError.badLatents(found: latents.shape, expected: noise.shape)
    }
    let start = request.latents?.converted(to: .f32) ?? noise
    return picture.map { schedule.noised(packed($0), noise: start, index: plan.firstStep) } ?? start
  }

  /// All pictures' noise by the one generator, or each by its own.
  private func noise(_ request: GenerationRequest, _ generator: inout Generator, _ plan: FlowPlan) throws -> Tensor {
    let batch = request.prompts.count
    guard let seeds = request.seeds else {
      return noise(&generator, batch: batch, plan, request.noiseType, packed: false)
    }
    guard seeds.count == batch else { throw RequestError.badSeeds(found: seeds.count, expected: batch) }
    let draws = seeds.map { seed in
      var generator = Generator(seed: seed)
      return noise(&generator, batch: 1, plan, request.noiseType, packed: false)
    }
    return concatenated(draws)
  }

  /// Noise as diffusers draws it, latents first, then packed; or drawn in the packed shape.
  func noise(
    _ generator: inout Generator, batch: Int, _ plan: FlowPlan, _ type: DType, packed isPacked: Bool
  ) -> Tensor {
    let scale = vae.config.scale
    let shape = [batch, vae.config.latentChannels, plan.height / scale, plan.width / scale]
    if !isPacked { return packed(generator.randn(shape, dtype: type).converted(to: .f32)) }
    return generator.randn(packed(Tensor(zeros: shape)).shape, dtype: type).converted(to: .f32)
  }
}
