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
    let distribution = try request.startingImage.map { posterior(try pixels($0.image, plan, filter: .lanczos)) }
    var pictures: [Tensor] = [], draws: [Tensor] = []
    for (seed, batch) in try generators(request) {
      var generator = Generator(seed: seed)
      if let distribution { pictures.append(packed(vae.scaled(distribution.sample(&generator)))) }
      draws.append(noise(&generator, batch: batch, plan, request.noiseType, packed: false))
    }
    let noise = concatenated(draws)
    if let latents = request.latents, latents.shape != noise.shape {
      throw RequestError.badLatents(found: latents.shape, expected: noise.shape)
    }
    let start = request.latents?.converted(to: .f32) ?? noise
    if pictures.isEmpty { return start }
    return schedule.noised(concatenated(pictures), noise: start, index: plan.firstStep)
  }

  /// One generator that draws for all pictures, or one for each.
  private func generators(_ request: GenerationRequest) throws -> [(seed: UInt64, batch: Int)] {
    let batch = request.prompts.count
    guard let seeds = request.seeds else { return [(request.seed, batch)] }
    guard seeds.count == batch else { throw RequestError.badSeeds(found: seeds.count, expected: batch) }
    return seeds.map { ($0, 1) }
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
