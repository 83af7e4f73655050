import NN
import Tensor

extension DenoisingPipeline {
  /// The latents a picture or video stands for, as a transformer sees them before they are packed: the mean of the
  /// posterior.
  ///
  /// - Parameter frames: `[frames, height, width, 3]`, `u8`, sides multiples of the codec's scale
  public func encodeFrames(_ frames: Tensor) -> Tensor { codec.scaled(posterior(frames).mean) }

  private func posterior(_ frames: Tensor) -> DiagonalGaussian {
    let pixels = (frames.converted(to: .f32) / 127.5 - 1).permuted(0, 3, 1, 2).unsqueezed(0)
    return codec.posterior(of: pixels.contiguous())
  }

  /// What a run starts from: noise, or a picture with as much noise as the first step expects. With a picture, the
  /// generator first draws from the autoencoder's posterior, as the references do.
  package func startingLatents(_ plan: GenerationPlan) throws -> Tensor { try start(plan).latents }

  /// With what the transformer is shown beside it in every step.
  package func start(_ plan: GenerationPlan) throws -> (latents: Tensor, image: Tensor?) {
    var noise = try NoiseSource(plan, latentShape(plan.size, batch: 1), packed)
    return try start(plan, sampler(steps: plan.steps, grid: plan.grid), &noise)
  }

  /// - Returns: what the first step starts from, and what the transformer is shown beside it in every step
  func start(
    _ plan: GenerationPlan, _ sampler: any Sampler, _ noise: inout NoiseSource
  ) throws -> (latents: Tensor, image: Tensor?) {
    var clean: Tensor?, shown: Tensor?
    if let start = plan.startingImage {
      let distribution = posterior(try resizedFrames(start.image.unsqueezed(0), plan.size, filter: .lanczos))
      switch settings.imageUse {
      case .noised: clean = noise.sample(distribution, codec.scaled)
      case .firstFrame: shown = noise.samples(distribution) { imageLatents($0, plan.size) }
      }
    }
    let drawn = noise.draw()
    if let latents = plan.latents, latents.shape != drawn.shape {
      throw RequestError.badLatents(found: latents.shape, expected: drawn.shape)
    }
    let start = plan.latents?.converted(to: .f32) ?? drawn
    return (clean.map { sampler.noised($0, noise: start, at: plan.levels[0]) } ?? start, shown)
  }

  /// What the transformer is shown beside the noisy latents of an existing video: its first frame.
  func imageLatents(_ plan: InspectionPlan) -> Tensor? {
    guard settings.imageUse == .firstFrame else { return nil }
    return imageLatents(posterior(plan.frames.narrow(0, from: 0, count: 1)).mean, plan.size)
  }

  /// Noise for a pass over an existing picture, packed, or drawn in the packed shape.
  func inspectionNoise(_ plan: InspectionPlan, sample: Int) -> Tensor {
    var generator = Generator(seed: plan.seed &+ UInt64(sample))
    let shape = latentShape(plan.size, batch: 1)
    if !plan.drawsPackedNoise {
      return packed(generator.randn(shape, dtype: plan.noiseType).converted(to: .f32))
    }
    return generator.randn(packed(Tensor(zeros: shape)).shape, dtype: plan.noiseType).converted(to: .f32)
  }

  public func frames(ofLatents latents: Tensor, _ plan: GenerationPlan) -> Tensor {
    decoded(trimmed(unpacked(latents, plan.grid), plan.size))
  }

  public func latents(ofFrames frames: Tensor) -> Tensor { packed(encodeFrames(frames)) }

  public func preview(_ latents: Tensor, _ plan: GenerationPlan, side: Int) -> Tensor {
    var latents = trimmed(unpacked(latents.narrow(0, from: 0, count: 1), plan.grid), plan.size)
    let longest = max(plan.size.height, plan.size.width)
    if longest > side, latents.rank == 4 {
      let (height, width) = (latents.shape[2] * side / longest, latents.shape[3] * side / longest)
      latents = latents.resized(height: max(height, 1), width: max(width, 1), mode: .bilinear, antialias: true)
    }
    return GenerationResult(frames: decoded(latents)).image()
  }

  /// Pictures one by one: the autoencoder's activations are many times those of the transformer.
  ///
  /// - Returns: `[batch, frames, 3, height, width]` in 0 … 1
  private func decoded(_ latents: Tensor) -> Tensor {
    let unscaled = codec.unscaled(latents)
    let videos = (0..<latents.shape[0]).map { codec.frames(of: unscaled.narrow(0, from: $0, count: 1)) }
    return (concatenated(videos) * 0.5 + 0.5).clamped(min: 0, max: 1)
  }
}

/// Frames at the planned size, `[frames, height, width, 3]`.
func resizedFrames(_ frames: Tensor, _ size: FrameSize, filter: ImageFilter) throws -> Tensor {
  guard frames.rank == 4, frames.shape[3] == 3, frames.count > 0 else {
    throw RequestError.badImage(shape: Array(frames.shape.dropFirst()))
  }
  if frames.shape[1] == size.height, frames.shape[2] == size.width { return frames }
  return stacked(
    (0..<frames.shape[0]).map { frames[$0].resizedImage(height: size.height, width: size.width, filter: filter) })
}
