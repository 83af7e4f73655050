import NN
import Tensor

// Passes whose output nobody needs: over existing pictures, and over steps of a generation that are known.

extension DenoisingPipeline {
  @discardableResult public func inspect(
    _ plan: InspectionPlan, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    let passes = plan.passes
    let run = try lookingRun(processors, passes: passes)
    let sampler = try sampler(steps: plan.levels[0].steps, grid: plan.grid)
    var watch = Stopwatch()
    let clean = packed(encodeFrames(plan.frames)), image = imageLatents(plan)
    var text = try encode([plan.prompt], maxSequenceLength: plan.maxSequenceLength, clipSkip: 0, hooks: run)
    if plan.zeroesPooledText { text.pooled = Tensor(zeros: text.pooled.shape) }
    releaseTextEncoders()
    let encoding = watch.lap(), count = plan.levels.count
    var noise = Tensor(0)
    return try look(
      run, times: plan.samples * count, grid: plan.grid, pictures: 1, plan.maxSequenceLength, encoding: encoding,
      onStep: onStep
    ) { index in
      let sample = index / count, level = plan.levels[index % count]
      if index % count == 0 { noise = inspectionNoise(plan, sample: sample) }
      let input = DenoiserInput(
        latents: sampler.noised(clean, noise: noise, at: level), image: image, text: text, timestep: level.timestep,
        guidance: plan.distilledGuidance)
      return (level, passes[index % count], input, draws: sample + 1)
    }
  }

  @discardableResult public func revisit(
    _ plan: GenerationPlan, latents: [Tensor], processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    guard latents.count == plan.levels.count else {
      throw RequestError.badLatents(found: [latents.count], expected: [plan.levels.count])
    }
    let passes = plan.passes.filter { $0.branch == .conditional }
    let run = try lookingRun(processors, passes: passes)
    var watch = Stopwatch()
    let image = try start(plan).image
    let text =
      try plan.encodedPrompts
      ?? encode(plan.prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip, hooks: run)
    releaseTextEncoders()
    return try look(
      run, times: latents.count, grid: plan.grid, pictures: plan.prompts.count, plan.maxSequenceLength,
      encoding: watch.lap(), onStep: onStep
    ) { index in
      let level = plan.levels[index]
      let input = DenoiserInput(
        latents: latents[index], image: image, text: text, timestep: level.timestep, guidance: plan.guidance.distilled)
      return (level, passes[index], input, draws: 0)
    }
  }

  private func lookingRun(_ processors: [any AttentionProcessor], passes: [Pass]) throws -> HookRun {
    guard let run = try hookRun(processors, passes: passes) else { throw RequestError.nobodyLooks }
    return run
  }

  /// - Parameters:
  ///   - encoding: the seconds it took
  ///   - view: what is looked at by its number, with how often noise was drawn for it
  private func look(
    _ run: HookRun, times: Int, grid: TokenGrid, pictures: Int, _ textTokens: Int, encoding: Double,
    onStep: (GenerationStep) throws -> Void,
    view: (Int) -> (level: NoiseLevel, pass: Pass, input: DenoiserInput, draws: Int)
  ) throws -> InspectionResult {
    var watch = Stopwatch(), seconds = PhaseSeconds()
    seconds.encoding = encoding
    weightMemory.begin(beside: lookingEstimate(grid, pictures: pictures, textTokens))
    defer { weightMemory.end() }
    let positions = positions(grid: grid)
    for index in 0..<times {
      let (level, pass, input, draws) = view(index)
      run.pass = pass
      denoiser.look(transformerInput(input, positions), hooks: run)
      try Task.checkCancellation()
      let state = GenerationState(stepsDone: index + 1, latents: input.latents, draws: draws, memory: [:])
      try onStep(
        GenerationStep(done: index + 1, total: times, level: level, state: state, before: input.latents))
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return InspectionResult(fired: run.fired, seconds: seconds)
  }
}
