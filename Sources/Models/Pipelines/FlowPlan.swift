import NN
import Tensor

/// A checked request with every default filled in.
package struct FlowPlan {
  package var width, height: Int
  package var grid: TokenGrid
  package var sequenceLength: Int
  package var steps = 1
  /// Above 0 when a run starts from a picture.
  package var firstStep = 0
  /// Told to a guidance-distilled model.
  package var guidance: Float = 0
  /// Of classifier-free guidance.
  package var scale: Float = 1
  /// nil for no classifier-free guidance.
  package var negativePrompt: String?
  package var skipLayers: SkipLayerGuidance?
  package var noiseLevels: [NoiseLevel] = []
}

extension FlowMatchPipeline {
  public func resolved(_ request: GenerationRequest) throws -> GenerationRequest {
    let plan = try plan(request)
    var result = request
    result.width = plan.width
    result.height = plan.height
    result.steps = plan.steps
    result.maxSequenceLength = plan.sequenceLength
    result.negativePrompt = plan.negativePrompt
    switch family.guidance {
    case .distilled:
      result.guidance = plan.guidance
      result.trueCFG = plan.negativePrompt == nil ? 1 : plan.scale
    case .classifierFree:
      result.guidance = plan.scale
      result.trueCFG = nil
    }
    return result
  }

  public func resolved(_ request: ObservationRequest) throws -> ObservationRequest {
    let plan = try plan(request)
    var result = request
    result.width = plan.width
    result.height = plan.height
    result.maxSequenceLength = plan.sequenceLength
    result.noiseLevels = plan.noiseLevels
    if case .distilled = family.guidance { result.guidance = plan.guidance }
    return result
  }

  public func noiseLevels(_ request: GenerationRequest) throws -> [Float] {
    let plan = try plan(request)
    return Array(try schedule(steps: plan.steps, grid: plan.grid).sigmas[plan.firstStep..<plan.steps])
  }

  package func plan(_ request: GenerationRequest) throws -> FlowPlan {
    guard !request.prompts.isEmpty else { throw RequestError.noPrompt }
    var plan = try plan(width: request.width, height: request.height, request.maxSequenceLength)
    plan.steps = request.steps ?? defaults.steps ?? family.steps
    guard (1...1000).contains(plan.steps) else { throw RequestError.badSteps(plan.steps) }
    try guide(&plan, request)
    plan.skipLayers = try skipLayers(request, plan)
    if let skip = request.clipSkip {
      guard let maximum = family.maximumClipSkip else {
        throw RequestError.unsupported("clip skip", family: family.name)
      }
      guard (0...maximum).contains(skip) else { throw RequestError.badClipSkip(skip, maximum: maximum) }
    }
    if let strength = request.startingImage?.strength {
      guard strength > 0, strength <= 1 else { throw RequestError.badStrength(strength) }
      plan.firstStep = Int(Double(plan.steps) - Double(plan.steps) * strength)
    }
    return plan
  }

  package func plan(_ request: ObservationRequest) throws -> FlowPlan {
    guard request.image.rank == 3, request.image.shape[2] == 3, request.image.count > 0 else {
      throw RequestError.badImage(shape: request.image.shape)
    }
    guard request.samples >= 1 else { throw RequestError.badSamples(request.samples) }
    var plan = try plan(width: request.width, height: request.height, request.maxSequenceLength)
    if case .classifierFree = family.guidance, request.guidance != nil {
      throw RequestError.unsupported("guidance in a pass over an existing picture", family: family.name)
    }
    plan.guidance = request.guidance ?? 0
    plan.noiseLevels = request.noiseLevels.isEmpty ? [NoiseLevel(defaults.noiseLevel ?? 0.5)] : request.noiseLevels
    for level in plan.noiseLevels {
      guard level.sigma > 0, level.sigma <= 1 else { throw RequestError.badNoiseLevel(level.sigma) }
    }
    return plan
  }

  private func plan(width: Int?, height: Int?, _ sequenceLength: Int?) throws -> FlowPlan {
    let width = width ?? defaults.width ?? family.size, height = height ?? defaults.height ?? family.size
    let multiple = sizeMultiple, maximum = family.maximumSize
    guard [width, height].allSatisfy({ $0 >= multiple && $0 <= maximum && $0 % multiple == 0 }) else {
      throw RequestError.badSize(width: width, height: height, multiple: multiple, maximum: maximum)
    }
    let length = sequenceLength ?? defaults.maxSequenceLength ?? family.sequenceLength
    guard (1...family.longestSequence).contains(length) else {
      throw RequestError.badSequenceLength(length, maximum: family.longestSequence)
    }
    let grid = TokenGrid(height: height / multiple, width: width / multiple)
    return FlowPlan(width: width, height: height, grid: grid, sequenceLength: length)
  }

  private func guide(_ plan: inout FlowPlan, _ request: GenerationRequest) throws {
    switch family.guidance {
    case .distilled(let standard):
      plan.guidance = request.guidance ?? defaults.guidance ?? standard
      plan.scale = request.trueCFG ?? defaults.trueCFG ?? 1
      // Guidance by default needs something to guide away from: the empty prompt.
      let usesDefault = request.trueCFG == nil && defaults.trueCFG != nil
      plan.negativePrompt = request.negativePrompt ?? (usesDefault ? "" : nil)
    case .classifierFree(let standard):
      guard request.guidance == nil || request.trueCFG == nil else {
        throw RequestError.badGuidance("two scales of classifier-free guidance, expected one")
      }
      plan.scale = request.guidance ?? request.trueCFG ?? defaults.guidance ?? defaults.trueCFG ?? standard
      plan.negativePrompt = request.negativePrompt ?? ""
    }
    guard plan.guidance.isFinite, plan.scale.isFinite else {
      throw RequestError.badGuidance("\(plan.guidance.isFinite ? plan.scale : plan.guidance), expected a finite number")
    }
    if plan.scale <= 1 { plan.negativePrompt = nil }
  }

  private func skipLayers(_ request: GenerationRequest, _ plan: FlowPlan) throws -> SkipLayerGuidance? {
    guard let skip = request.skipLayers else { return nil }
    guard family.skipsLayers else { throw RequestError.unsupported("skip-layer guidance", family: family.name) }
    guard plan.negativePrompt != nil else {
      throw RequestError.badSkipLayers("needs classifier-free guidance, a scale above 1; it is \(plan.scale)")
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
