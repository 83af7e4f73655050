import NN
import Tensor

// From requests to plans: every default is filled in once, and everything is checked that can be checked before a run.
extension DenoisingPipeline {
  public func plan(_ request: GenerationRequest) throws -> GenerationPlan {
    guard !request.prompts.isEmpty else { throw RequestError.noPrompt }
    let size = try size(width: request.width, height: request.height, frames: request.frames)
    let steps = request.steps ?? defaults.steps ?? settings.steps
    guard (1...1000).contains(steps) else { throw RequestError.badSteps(steps) }
    let start = try startingImage(request, size)
    let firstStep = start?.strength.map { Int(Double(steps) - Double(steps) * $0) } ?? 0
    let grid = try grid(size), levels = try sampler(steps: steps, grid: grid).levels
    return GenerationPlan(
      prompts: request.prompts, size: size, grid: grid, steps: steps, firstStep: firstStep,
      levels: Array(levels[firstStep...]), guidance: try guidance(request),
      seeds: try seeds(request), maxSequenceLength: try sequenceLength(request.maxSequenceLength),
      clipSkip: try clipSkip(request.clipSkip), noiseType: request.noiseType, startingImage: start,
      latents: request.latents, encodedPrompts: try checked(request.encodedPrompts, request),
      encodedNegative: try checked(request.encodedNegative, request), blockCache: try blockCache(request))
  }

  private func blockCache(_ request: GenerationRequest) throws -> Float? {
    guard let threshold = request.blockCache else { return nil }
    guard threshold > 0, threshold <= 1 else {
      throw RequestError.badBlockCache("threshold \(threshold), expected more than 0 and at most 1")
    }
    return threshold
  }

  /// With a strength where it is noised, and none where it is shown.
  private func startingImage(_ request: GenerationRequest, _ size: FrameSize) throws -> StartingImage? {
    guard var start = request.startingImage else {
      if settings.imageUse == .firstFrame { throw RequestError.noImage(family: settings.name) }
      return nil
    }
    switch settings.imageUse {
    case .noised:
      // Its latents have one frame.
      guard size.frames == 1 else { throw RequestError.unsupported("a start from a picture", family: settings.name) }
      let strength = start.strength ?? 0.6
      guard strength > 0, strength <= 1 else { throw RequestError.badStrength(strength) }
      start.strength = strength
    case .firstFrame:
      if start.strength != nil {
        throw RequestError.unsupported("strength with a picture that the video begins with", family: settings.name)
      }
    }
    guard start.image.rank == 3, start.image.shape[2] == 3, start.image.count > 0 else {
      throw RequestError.badImage(shape: start.image.shape)
    }
    return start
  }

  private func checked(_ encoded: EncodedPrompts?, _ request: GenerationRequest) throws -> EncodedPrompts? {
    guard let encoded else { return nil }
    let states = encoded.states.shape, widths = promptWidths, batch = request.prompts.count
    guard states.count == 3, states[0] == batch, states[1] > 0, states[2] == widths.states,
      encoded.pooled.shape == [batch, widths.pooled]
    else {
      throw RequestError.badEncodedPrompts(
        found: [states, encoded.pooled.shape],
        expected: "[\(batch), tokens, \(widths.states)] and [\(batch), \(widths.pooled)]")
    }
    return encoded
  }

  public func plan(_ request: InspectionRequest) throws -> InspectionPlan {
    guard request.frames.rank == 4, request.frames.shape[3] == 3, request.frames.count > 0 else {
      throw RequestError.badImage(shape: Array(request.frames.shape.dropFirst()))
    }
    guard (1...100_000).contains(request.samples) else { throw RequestError.badSamples(request.samples) }
    let size = try size(width: request.width, height: request.height, frames: request.frames.shape[0])
    let grid = try grid(size)
    var distilled: Float?
    switch settings.guidance {
    case .distilled: distilled = request.guidance ?? 0
    case .none, .classifierFree:
      if request.guidance != nil {
        throw RequestError.unsupported("guidance in a pass over an existing picture", family: settings.name)
      }
    }
    guard distilled?.isFinite ?? true else {
      throw RequestError.badGuidance("\(distilled ?? 0), expected a finite number")
    }
    return InspectionPlan(
      frames: try resizedFrames(request.frames, size, filter: .bicubic), prompt: request.prompt, size: size,
      grid: grid, levels: try levels(request.noise, grid), samples: request.samples, seed: request.seed,
      distilledGuidance: distilled, zeroesPooledText: request.zeroesPooledText,
      maxSequenceLength: try sequenceLength(request.maxSequenceLength), noiseType: request.noiseType,
      drawsPackedNoise: request.drawsPackedNoise)
  }

  private func size(width: Int?, height: Int?, frames: Int?) throws -> FrameSize {
    let standard = settings.size, maximum = settings.maximumSide, multiple = sizeMultiple
    let size = FrameSize(
      frames: frames ?? defaults.frames ?? standard.frames, height: height ?? defaults.height ?? standard.height,
      width: width ?? defaults.width ?? standard.width)
    guard [size.width, size.height].allSatisfy({ $0 >= multiple && $0 <= maximum && $0 % multiple == 0 }) else {
      throw RequestError.badSize(width: size.width, height: size.height, multiple: multiple, maximum: maximum)
    }
    return size
  }

  /// - Throws: `RequestError` for a length out of range
  func sequenceLength(_ asked: Int?) throws -> Int {
    let length = asked ?? defaults.maxSequenceLength ?? settings.sequenceLength
    guard (1...settings.longestSequence).contains(length) else {
      throw RequestError.badSequenceLength(length, maximum: settings.longestSequence)
    }
    return length
  }

  private func clipSkip(_ asked: Int?) throws -> Int {
    guard let asked else { return 0 }
    guard let maximum = settings.maximumClipSkip else {
      throw RequestError.unsupported("clip skip", family: settings.name)
    }
    guard (0...maximum).contains(asked) else { throw RequestError.badClipSkip(asked, maximum: maximum) }
    return asked
  }

  private func seeds(_ request: GenerationRequest) throws -> GenerationPlan.Seeds {
    guard let seeds = request.seeds else { return .shared(request.seed) }
    guard seeds.count == request.prompts.count else {
      throw RequestError.badSeeds(found: seeds.count, expected: request.prompts.count)
    }
    return .each(seeds)
  }

  private func levels(_ noise: InspectionRequest.Noise, _ grid: TokenGrid) throws -> [NoiseLevel] {
    var sigmas: [Float] = []
    switch noise {
    case .standard: sigmas = [defaults.noiseLevel ?? 0.5]
    case .levels(let levels): sigmas = levels
    case .steps(let steps, let count):
      let count = count ?? defaults.steps ?? settings.steps
      guard (1...1000).contains(count) else { throw RequestError.badSteps(count) }
      if let stray = steps.first(where: { !(0..<count).contains($0) }) {
        throw RequestError.badStep(stray, steps: count)
      }
      let levels = try sampler(steps: count, grid: grid).levels
      if steps.isEmpty { throw RequestError.noNoiseLevel }
      return steps.map { levels[$0] }
    }
    if sigmas.isEmpty { throw RequestError.noNoiseLevel }
    for sigma in sigmas where !(sigma > 0 && sigma <= 1) { throw RequestError.badNoiseLevel(sigma) }
    let sampler = try sampler(steps: 1, grid: grid)
    return sigmas.enumerated().map { sampler.level(sigma: $1, step: $0, of: sigmas.count) }
  }

  private func guidance(_ request: GenerationRequest) throws -> Guidance {
    var guidance = Guidance(), scale: Float = 1, negativePrompt: String?
    switch settings.guidance {
    case .none, .distilled:
      if case .distilled(let standard) = settings.guidance {
        guidance.distilled = request.guidance ?? defaults.guidance ?? standard
      }
      scale = request.trueCFG ?? defaults.trueCFG ?? 1
      // Guidance by default needs something to guide away from: the empty prompt.
      let usesDefault = request.trueCFG == nil && defaults.trueCFG != nil
      negativePrompt = request.negativePrompt ?? (usesDefault ? "" : nil)
    case .classifierFree(let standard):
      guard request.guidance == nil || request.trueCFG == nil else {
        throw RequestError.badGuidance("two scales of classifier-free guidance, expected one")
      }
      scale = request.guidance ?? request.trueCFG ?? defaults.guidance ?? defaults.trueCFG ?? standard
      negativePrompt = request.negativePrompt ?? ""
    }
    for number in [guidance.distilled ?? 0, scale] where !number.isFinite {
      throw RequestError.badGuidance("\(number), expected a finite number")
    }
    if scale > 1, let negativePrompt {
      guidance.classifierFree = .init(
        scale: scale, negativePrompt: negativePrompt, isDynamic: request.usesDynamicGuidance)
    }
    if request.usesDynamicGuidance, !settings.hasDynamicGuidance {
      throw RequestError.unsupported("guidance that follows the timestep", family: settings.name)
    }
    guidance.skipLayers = try skipLayers(request, scale: guidance.classifierFree?.scale ?? 1)
    return guidance
  }

  private func skipLayers(_ request: GenerationRequest, scale: Float) throws -> SkipLayerGuidance? {
    guard let skip = request.skipLayers else { return nil }
    guard settings.skipsLayers else { throw RequestError.unsupported("skip-layer guidance", family: settings.name) }
    guard scale > 1 else {
      throw RequestError.badSkipLayers("needs classifier-free guidance, a scale above 1; it is \(scale)")
    }
    let layers = transformer.blocks.count
    guard !skip.layers.isEmpty, skip.layers.allSatisfy((0..<layers).contains) else {
      throw RequestError.badSkipLayers("layers \(skip.layers.sorted()), expected some of 0 to \(layers - 1)")
    }
    guard skip.scale.isFinite, skip.start.isFinite, skip.stop.isFinite else {
      throw RequestError.badSkipLayers("scale, start and stop must be finite numbers")
    }
    return skip
  }
}
