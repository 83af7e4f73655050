import NN
import Tensor

// The loop: from noise, step by step, to latents and to a picture or video.

extension DenoisingPipeline {
  public func denoise(
    _ plan: GenerationPlan, processors: [any AttentionProcessor], resuming state: GenerationState?,
    changingLatents: (GenerationStep) throws -> Tensor?
  ) throws -> GenerationResult {
    let run = try hookRun(processors, passes: plan.passes)
    let cache = try blockCache(plan, run)
    var sampler = try sampler(steps: plan.steps, grid: plan.grid)
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let (conditional, unconditional) = try encodedPrompts(plan, run)
    var noise = try NoiseSource(plan, latentShape(plan.size, batch: 1), packed)
    let (started, image) = try start(plan, sampler, &noise)
    var latents = started
    if let state { latents = try resume(state, &sampler, &noise, cache, plan, shape: latents.shape) }
    releaseTextEncoders()
    seconds.encoding = watch.lap()
    let activations = activationEstimate(plan).transformer
    let context = DenoisingContext(
      conditional: conditional, unconditional: unconditional, plan: plan, positions: positions(grid: plan.grid),
      image: image, hooks: run, cache: cache, together: Self.passesTogether(plan, activations: activations))
    weightMemory.begin(beside: activations)
    defer { weightMemory.end() }
    for (index, level) in plan.levels.enumerated().dropFirst(state?.stepsDone ?? 0) {
      let before = latents
      run?.predictedClean = { sampler.predictedClean(before, output: $0, at: level.step) }
      let output = prediction(latents, at: level, context)
      try Task.checkCancellation()
      latents = sampler.step(latents, output: output, at: level.step) { noise.draw() }
      latents = run?.rewritten(latents: latents) ?? latents
      let memory = sampler.memory.merging(cache?.named ?? [:]) { $1 }
      let state = GenerationState(stepsDone: index + 1, latents: latents, draws: noise.draws, memory: memory)
      let changed = try changingLatents(
        GenerationStep(
          done: index + 1, total: plan.levels.count, level: level, state: state, before: before, prediction: output,
          toClean: { [sampler] in sampler.predictedClean(before, output: output, at: level.step) }))
      if let changed {
        guard changed.shape == latents.shape else {
          throw RequestError.badLatents(found: changed.shape, expected: latents.shape)
        }
        latents = changed.converted(to: .f32)
      }
    }
    // What a processor asked for may have been in the steps before.
    if state == nil { try run?.finish() }
    weightMemory.end()
    Memory.trim()
    seconds.transformer = watch.lap()
    let frames = frames(ofLatents: latents, plan)
    seconds.decoding = watch.lap()
    return GenerationResult(
      frames: frames, fired: run?.fired ?? [:], seconds: seconds,
      blocks: cache.map { .init(all: $0.blocks, skipped: $0.skippedBlocks) })
  }

  /// What the plan gives, or the text encoders make of its prompts and of the negative one, together.
  private func encodedPrompts(
    _ plan: GenerationPlan, _ run: HookRun?
  ) throws -> (conditional: EncodedPrompts, negative: EncodedPrompts?) {
    let negative = plan.guidance.classifierFree.map { guidance in plan.prompts.map { _ in guidance.negativePrompt } }
    func encoded(_ prompts: [String], _ clipSkip: Int) throws -> EncodedPrompts {
      try encode(prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: clipSkip, hooks: run)
    }
    if plan.encodedPrompts == nil { try expect(plan, phrases: []) }
    let conditional = try plan.encodedPrompts ?? encoded(plan.prompts, plan.clipSkip)
    run?.pass.branch = .unconditional
    return (conditional, try negative.map { try plan.encodedNegative ?? encoded($0, 0) })
  }

  /// - Throws: `RequestError` when nothing could ever be skipped
  private func blockCache(_ plan: GenerationPlan, _ run: HookRun?) throws -> BlockCache? {
    guard let threshold = plan.blockCache else { return nil }
    if let obstacle = BlockCache.obstacle(run, plan.passes, blocks: transformer.blocks) {
      throw RequestError.badBlockCache("it would skip nothing: \(obstacle)")
    }
    return BlockCache(threshold: threshold)
  }

  /// Brings sampler, noise and block cache to where the run stood.
  ///
  /// - Returns: its latents
  private func resume(
    _ state: GenerationState, _ sampler: inout any Sampler, _ noise: inout NoiseSource, _ cache: BlockCache?,
    _ plan: GenerationPlan, shape: [Int]
  ) throws -> Tensor {
    guard (0...plan.levels.count).contains(state.stepsDone), (noise.draws...plan.steps + 1).contains(state.draws) else {
      throw RequestError.badState(
        "\(state.stepsDone) steps and \(state.draws) draws of noise, of a run of \(plan.levels.count) steps")
    }
    guard state.latents.shape == shape, state.latents.dtype == .f32 else {
      throw RequestError.badLatents(found: state.latents.shape, expected: shape)
    }
    // What a cache keeps besides has shapes of its own.
    let memory = cache?.recall(named: state.memory) ?? state.memory
    if let other = memory.values.first(where: { $0.rank > 1 && $0.shape != shape }) {
      throw RequestError.badLatents(found: other.shape, expected: shape)
    }
    try sampler.recall(memory)
    while noise.draws < state.draws { _ = noise.draw() }
    return state.latents
  }
}

extension BlockCache {
  private static let prefix = "blockCache."

  /// What it remembers, under names that no sampler has.
  fileprivate var named: [String: Tensor] {
    Dictionary(uniqueKeysWithValues: memory.map { (Self.prefix + $0.key, $0.value) })
  }

  /// Takes up its own part of a memory.
  ///
  /// - Returns: the rest
  fileprivate func recall(named memory: [String: Tensor]) -> [String: Tensor] {
    let own = memory.filter { $0.key.hasPrefix(Self.prefix) }
    recall(Dictionary(uniqueKeysWithValues: own.map { (String($0.key.dropFirst(Self.prefix.count)), $0.value) }))
    return memory.filter { own[$0.key] == nil }
  }
}
