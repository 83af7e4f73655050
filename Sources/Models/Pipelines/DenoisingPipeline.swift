import NN
import Tensor

/// A family that turns noise into pictures or videos step by step, in the latents of an autoencoder. It says how it
/// encodes prompts, how its transformer is called and which sampler it takes; planning, steps, guidance, pictures to start
/// from and passes over existing pictures come from here.
///
/// Source: diffusers `FluxPipeline`, `StableDiffusion3Pipeline` and their `Img2Img` forms; the same seed gives the same
/// noise, latents and picture.
public protocol DenoisingPipeline: DiffusionPipeline {
  associatedtype Codec: LatentCodec
  /// What the transformer needs to know of where its tokens stand.
  associatedtype Positions

  var codec: Codec { get }
  /// Released after prompts are encoded: they are not needed until the next run.
  var textEncoders: [any ReleasableEncoder] { get }

  /// The widths of encoded prompts: of the text encoders' states and of the pooled vectors, 0 without those.
  var promptWidths: (states: Int, pooled: Int) { get }

  /// How image tokens tile a picture or video.
  ///
  /// - Throws: `RequestError` for a number of frames that the family does not have
  func grid(_ size: FrameSize) throws -> TokenGrid

  /// - Parameters:
  ///   - maxSequenceLength: tokens T5 is given, padding included
  ///   - clipSkip: see `GenerationRequest`
  ///   - hooks: whose processors see the encoders' blocks (`encoderSites`); nil for nobody
  /// - Throws: `TokenizerError`, `RequestError`
  func encode(
    _ prompts: [String], maxSequenceLength: Int, clipSkip: Int, hooks: HookRun?
  ) throws -> EncodedPrompts

  /// The schedule and solver of a run. Throws `SchedulerError`.
  func sampler(steps: Int, grid: TokenGrid) throws -> any Sampler

  /// The shape of latents, in the layout that noise is drawn in: the codec's, unless the transformer needs more frames.
  func latentShape(_ size: FrameSize, batch: Int) -> [Int]

  /// The codec's latents as the transformer takes them, and back.
  func packed(_ latents: Tensor) -> Tensor
  func unpacked(_ latents: Tensor, _ grid: TokenGrid) -> Tensor

  /// Latents without the frames that only the transformer needed, for the codec.
  func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor

  /// What the transformer is shown in every pass beside the noisy latents, of a picture that the video begins with:
  /// packed. Asked for where `settings.imageUse` is `.firstFrame`.
  ///
  /// - Parameter picture: one frame of the codec's latents, as its encoder gives them
  func imageLatents(_ picture: Tensor, _ size: FrameSize) -> Tensor

  func positions(grid: TokenGrid) -> Positions

  /// Passes of the transformer, which go through its blocks together.
  ///
  /// - Parameter cache: of blocks whose output hardly changes from step to step; nil to compute them all
  /// - Returns: what the sampler steps with (the velocity, the noise), of the shape of the latents, for each pass
  func predict(_ passes: [ModelPass<DenoiserInput>], _ positions: Positions, cache: BlockCache?) -> [Tensor]

  /// One pass, gone through backwards: see `DifferentiableModel.gradient(of:at:_:pass:processors:)`.
  func gradient(
    of scalar: Scalar, at places: [GradientPlace], _ input: DenoiserInput, _ positions: Positions, pass: Pass,
    processors: [any AttentionProcessor]
  ) throws -> PassGradient

  /// One pass as far as the hooks look.
  func look(_ input: DenoiserInput, _ positions: Positions, hooks: HookRun)
}

extension EncodedPrompts {
  /// As a further branch has it.
  fileprivate func replaced(by extra: ExtraBranch) -> EncodedPrompts {
    func own(_ tensor: Tensor?, else plain: Tensor) -> Tensor {
      tensor.map { $0.broadcast(to: [plain.shape[0]] + $0.shape.dropFirst()).contiguous() } ?? plain
    }
    return EncodedPrompts(states: own(extra.text, else: states), pooled: own(extra.pooled, else: pooled))
  }
}

/// What one pass of a denoiser is given.
public struct DenoiserInput: Sendable {
  /// Packed.
  public var latents: Tensor
  /// Of the picture that the video begins with; nil without one.
  public var image: Tensor?
  public var text: EncodedPrompts
  /// 0 … 1000.
  public var timestep: Float
  /// Told to a guidance-distilled model; nil for a model that is told nothing.
  public var guidance: Float?
  /// Blocks that are passed over.
  public var skippedLayers: Set<Int> = []
}

extension DenoisingPipeline {
  public func encode(
    _ prompts: [String], maxSequenceLength: Int?, clipSkip: Int = 0
  ) throws -> EncodedPrompts {
    try encode(
      prompts, maxSequenceLength: sequenceLength(maxSequenceLength), clipSkip: clipSkip, hooks: nil)
  }

  public func latentShape(_ size: FrameSize, batch: Int) -> [Int] { codec.latentShape(size, batch: batch) }

  public func trimmed(_ latents: Tensor, _ size: FrameSize) -> Tensor { latents }

  public func imageLatents(_ picture: Tensor, _ size: FrameSize) -> Tensor { packed(codec.scaled(picture)) }

  /// Of pictures: one frame.
  public func grid(_ size: FrameSize) throws -> TokenGrid {
    if size.frames != 1 { throw RequestError.badFrames(size.frames, expected: "1: \(settings.name) makes pictures") }
    return TokenGrid(height: size.height / sizeMultiple, width: size.width / sizeMultiple)
  }

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
    for encoder in textEncoders { encoder.release() }
    Memory.trim()
    seconds.encoding = watch.lap()
    let activations = activationEstimate(plan).transformer
    let denoiser = Denoiser(
      conditional: conditional, unconditional: unconditional, plan: plan, positions: positions(grid: plan.grid),
      image: image, run: run, cache: cache, together: Self.passesTogether(plan, activations: activations))
    weightMemory.begin(beside: activations)
    defer { weightMemory.end() }
    for (index, level) in plan.levels.enumerated().dropFirst(state?.stepsDone ?? 0) {
      let before = latents
      run?.predictedClean = { sampler.predictedClean(before, output: $0, at: level.step) }
      let output = prediction(latents, at: level, denoiser)
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

  @discardableResult public func inspect(
    _ plan: InspectionPlan, processors: [any AttentionProcessor], onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    guard let run = try hookRun(processors, passes: plan.passes) else { throw RequestError.nobodyLooks }
    let sampler = try sampler(steps: plan.levels[0].steps, grid: plan.grid)
    var watch = Stopwatch(), seconds = PhaseSeconds()
    let clean = packed(encodeFrames(plan.frames)), image = imageLatents(plan)
    var text = try encode([plan.prompt], maxSequenceLength: plan.maxSequenceLength, clipSkip: 0, hooks: run)
    if plan.zeroesPooledText { text.pooled = Tensor(zeros: text.pooled.shape) }
    for encoder in textEncoders { encoder.release() }
    Memory.trim()
    seconds.encoding = watch.lap()
    weightMemory.begin(beside: lookingEstimate(plan.grid, pictures: 1, plan.maxSequenceLength))
    defer { weightMemory.end() }
    let positions = positions(grid: plan.grid), total = plan.samples * plan.levels.count
    for sample in 0..<plan.samples {
      let noise = inspectionNoise(plan, sample: sample)
      for (index, (level, pass)) in zip(plan.levels, plan.passes).enumerated() {
        let noised = sampler.noised(clean, noise: noise, at: level)
        run.pass = pass
        look(
          DenoiserInput(
            latents: noised, image: image, text: text, timestep: level.timestep, guidance: plan.distilledGuidance),
          positions, hooks: run)
        try Task.checkCancellation()
        let done = sample * plan.levels.count + index + 1
        let state = GenerationState(stepsDone: done, latents: noised, draws: sample + 1, memory: [:])
        try onStep(
          GenerationStep(done: done, total: total, level: level, state: state, before: noised))
      }
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return InspectionResult(fired: run.fired, seconds: seconds)
  }

  @discardableResult public func revisit(
    _ plan: GenerationPlan, latents: [Tensor], processors: [any AttentionProcessor],
    onStep: (GenerationStep) throws -> Void
  ) throws -> InspectionResult {
    guard latents.count == plan.levels.count else {
      throw RequestError.badLatents(found: [latents.count], expected: [plan.levels.count])
    }
    let passes = plan.passes.filter { $0.branch == .conditional }
    guard let run = try hookRun(processors, passes: passes) else { throw RequestError.nobodyLooks }
    var watch = Stopwatch(), seconds = PhaseSeconds()
    var noise = try NoiseSource(plan, latentShape(plan.size, batch: 1), packed)
    let image = try start(plan, sampler(steps: plan.steps, grid: plan.grid), &noise).image
    let text =
      try plan.encodedPrompts
      ?? encode(plan.prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip, hooks: run)
    for encoder in textEncoders { encoder.release() }
    Memory.trim()
    seconds.encoding = watch.lap()
    weightMemory.begin(beside: lookingEstimate(plan.grid, pictures: plan.prompts.count, plan.maxSequenceLength))
    defer { weightMemory.end() }
    let positions = positions(grid: plan.grid)
    for (index, (level, latents)) in zip(plan.levels, latents).enumerated() {
      run.pass = passes[index]
      look(
        DenoiserInput(
          latents: latents, image: image, text: text, timestep: level.timestep, guidance: plan.guidance.distilled),
        positions, hooks: run)
      try Task.checkCancellation()
      let state = GenerationState(stepsDone: index + 1, latents: latents, draws: 0, memory: [:])
      try onStep(
        GenerationStep(
          done: index + 1, total: plan.levels.count, level: level, state: state, before: latents))
    }
    try run.finish()
    seconds.transformer = watch.lap()
    return InspectionResult(fired: run.fired, seconds: seconds)
  }

  public func preview(_ latents: Tensor, _ plan: GenerationPlan, side: Int) -> Tensor {
    var latents = trimmed(unpacked(latents.narrow(0, from: 0, count: 1), plan.grid), plan.size)
    let longest = max(plan.size.height, plan.size.width)
    if longest > side, latents.rank == 4 {
      let (height, width) = (latents.shape[2] * side / longest, latents.shape[3] * side / longest)
      latents = latents.resized(height: max(height, 1), width: max(width, 1), mode: .bilinear, antialias: true)
    }
    return GenerationResult(frames: decoded(latents)).image()
  }

  public func activationEstimate(_ plan: GenerationPlan) -> ActivationEstimate {
    let pictures = plan.prompts.count
    let pixels = 3 * plan.size.frames * plan.size.width * plan.size.height * pictures
    let pass = lookingEstimate(plan.grid, pictures: pictures, plan.maxSequenceLength)
    return ActivationEstimate(
      transformer: pass * Self.passesTogether(plan, activations: pass),
      decoding: codec.decodingBytes(plan.size) + 4 * pixels)
  }

  /// Of one pass.
  private func lookingEstimate(_ grid: TokenGrid, pictures: Int, _ textTokens: Int) -> Int {
    4 * pictures * (grid.count + textTokens) * settings.floatsPerToken
  }

  public func encodingEstimate(_ plan: GenerationPlan, phrases: Int) -> Int {
    let texts = 1 + phrases + (plan.guidance.classifierFree == nil ? 0 : 1)
    let kept = 4 * texts * plan.maxSequenceLength * promptWidths.states
    return kept + (textEncoders.map { $0.encodingBytes(texts: texts, tokens: plan.maxSequenceLength) }.max() ?? 0)
  }

  /// How many passes of a step go through the blocks together: all that guidance makes, as far as their activations fit into
  /// half of the memory there is.
  private static func passesTogether(_ plan: GenerationPlan, activations: Int) -> Int {
    let most = plan.levels.map { plan.branches(at: $0.step).count }.max() ?? 1
    let room = (Memory.allowance?.bytes ?? .max) / 2
    return max(1, min(most, room / max(1, activations)))
  }

  public func frames(ofLatents latents: Tensor, _ plan: GenerationPlan) -> Tensor {
    decoded(trimmed(unpacked(latents, plan.grid), plan.size))
  }

  public func latents(ofFrames frames: Tensor) -> Tensor { packed(encodeFrames(frames)) }

  private func hookRun(_ processors: [any AttentionProcessor], passes: [Pass]) throws -> HookRun? {
    guard !processors.isEmpty, let first = passes.first else { return nil }
    return try HookRun(processors, on: transformer, encoders: encoderSites, pass: first, passes: passes)
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

  public func expect(_ plan: GenerationPlan, phrases: [String]) throws {
    var prompts = plan.encodedPrompts == nil ? plan.prompts : []
    // A negative prompt is read to CLIP's last layer but one, whatever the prompt skips.
    if let guidance = plan.guidance.classifierFree, plan.encodedNegative == nil, plan.clipSkip == 0 {
      prompts.append(guidance.negativePrompt)
    }
    try expect(
      prompts: prompts, phrases: phrases, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip)
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

  /// What the model predicts at one step, of all branches that guidance and processors need.
  private func prediction(_ latents: Tensor, at level: NoiseLevel, _ denoiser: Denoiser<Positions>) -> Tensor {
    let plan = denoiser.plan, run = denoiser.run
    func pass(_ branch: Pass.Branch) -> Pass { Pass(level, branch: branch, grid: plan.grid, batch: latents.shape[0]) }
    func input(_ text: EncodedPrompts, skipping layers: Set<Int> = [], guidance: Float? = nil) -> DenoiserInput {
      DenoiserInput(
        latents: latents, image: denoiser.image, text: text, timestep: level.timestep,
        guidance: plan.guidance.distilled.map { guidance ?? $0 }, skippedLayers: layers)
    }
    run?.pass = pass(.conditional)
    var inputs: [(branch: Pass.Branch, input: DenoiserInput)] = [(.conditional, input(denoiser.conditional))]
    let guidance = plan.guidance.classifierFree, skip = plan.guidance.skipLayers
    if guidance != nil, let negative = denoiser.unconditional {
      inputs.append((.unconditional, input(negative)))
      if let skip, skip.acts(at: level.step, of: plan.steps) {
        inputs.append((.skippingLayers, input(denoiser.conditional, skipping: skip.layers)))
      }
    }
    for extra in run?.extraBranches ?? [] {
      let own = input(
        denoiser.conditional.replaced(by: extra), skipping: extra.skippedLayers, guidance: extra.distilledGuidance)
      inputs.append((extra.branch, own))
    }
    let outputs = predictions(inputs.map { (pass($0.branch), $0.input) }, denoiser)
    guard let conditional = outputs[.conditional] else { tensorFailure("no conditional pass") }
    var result = conditional
    if let guidance, let unconditional = outputs[.unconditional] {
      result = unconditional + (conditional - unconditional) * guidance.scale(at: level, steps: plan.steps)
      if let skip, let weaker = outputs[.skippingLayers] { result = result + (conditional - weaker) * skip.scale }
    }
    return run?.guided(result, outputs: outputs) ?? result
  }

  /// The passes of a step, together where memory and the processors allow it, else one after the other.
  private func predictions(
    _ passes: [(pass: Pass, input: DenoiserInput)], _ denoiser: Denoiser<Positions>
  ) -> [Pass.Branch: Tensor] {
    let run = denoiser.run, mayGoTogether = run?.mayGoTogether(passes.map(\.pass)) ?? true
    let most = mayGoTogether ? denoiser.together : 1
    var outputs: [Pass.Branch: Tensor] = [:]
    for start in stride(from: 0, to: passes.count, by: most) {
      let group = passes[start..<min(start + most, passes.count)]
      if let first = group.first { run?.pass = first.pass }
      let joined = group.map { pass, input in
        ModelPass(input, hooks: group.count == 1 ? run : run?.beside(pass), branch: pass.branch)
      }
      for (pass, output) in zip(group, predict(joined, denoiser.positions, cache: denoiser.cache)) {
        outputs[pass.pass.branch] = output
      }
    }
    return outputs
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

/// What stays the same over the steps of a run.
private struct Denoiser<Positions> {
  let conditional: EncodedPrompts
  /// nil for no classifier-free guidance.
  let unconditional: EncodedPrompts?
  let plan: GenerationPlan
  let positions: Positions
  /// What the transformer is shown beside the noisy latents.
  let image: Tensor?
  let run: HookRun?
  let cache: BlockCache?
  /// The most passes that go through the blocks together.
  let together: Int
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
