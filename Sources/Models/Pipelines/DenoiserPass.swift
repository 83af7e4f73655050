import NN
import Tensor

/// One pass of a pipeline's transformer, with the prompt: can be run again with other latents, other prompt embeddings or
/// other processors, and gone through backwards.
///
/// ```swift
/// let pass = try pipeline.denoiserPass(plan, step: 2)
/// let gradient = try pass.gradient(of: .output(.dot(direction)), at: [.latents, "double.*.image.residualOutput"])
/// ```
public struct DenoiserPass {
  /// As the transformer takes them.
  public var latents: Tensor
  public var prompts: EncodedPrompts
  /// What processors are told.
  public let pass: Pass

  let run: (DenoiserInput, HookRun?) throws -> Tensor
  let backward: (DenoiserInput, Scalar, [GradientPlace], Pass, [any AttentionProcessor]) throws -> PassGradient
  let toClean: (Tensor, Tensor) -> Tensor
  /// What the transformer is shown beside the latents, of a picture that the video begins with.
  let image: Tensor?
  let guidance: Float?
  let model: any StreamModel
  /// What the tensors must look like.
  let latentShape: [Int]
  let promptWidths: (states: Int, pooled: Int)

  /// The transformer, for its blocks and sites.
  public var transformer: any StreamModel { model }

  /// What the transformer predicts: the velocity, the noise.
  ///
  /// - Throws: `RequestError` for latents or prompts of other shapes, `HookError`, what processors throw, and
  ///   `CancellationError`
  public func output(processors: [any AttentionProcessor] = []) throws -> Tensor {
    let hooks =
      processors.isEmpty ? nil : try HookRun(processors, on: model, pass: pass, passes: [pass])
    let output = try run(checkedInput(), hooks)
    try Task.checkCancellation()
    try hooks?.finish()
    return output
  }

  /// A scalar, without its gradient.
  ///
  /// - Throws: as `output`
  public func value(of scalar: Scalar, processors: [any AttentionProcessor] = []) throws -> Float {
    let reader = SiteReader(scalar.patterns)
    let output = try output(processors: processors + (scalar.patterns.isEmpty ? [] : [reader]))
    return scalar.value(Scalar.Readings(output: output, sites: reader.tensors))
  }

  /// The tensors at sites.
  ///
  /// - Throws: as `output`
  public func tensors(
    at patterns: [SitePattern], processors: [any AttentionProcessor] = []
  ) throws -> [Site: Tensor] {
    let reader = SiteReader(patterns)
    _ = try output(processors: processors + [reader])
    return reader.tensors
  }

  /// The clean latents, x̂₀, that an output stands for at these latents.
  public func clean(_ output: Tensor) -> Tensor { toClean(latents, output) }

  /// The gradient of a scalar with respect to inputs and sites: see
  /// `DifferentiableModel.gradient(of:at:_:pass:processors:)`.
  ///
  /// - Throws: `GradientError`, `HookError`, what processors throw, and `CancellationError`
  public func gradient(
    of scalar: Scalar, at places: [GradientPlace], processors: [any AttentionProcessor] = []
  ) throws -> PassGradient {
    try backward(checkedInput(), scalar, places, pass, processors)
  }

  private func checkedInput() throws(RequestError) -> DenoiserInput {
    guard latents.shape == latentShape else { throw .badLatents(found: latents.shape, expected: latentShape) }
    let states = prompts.states.shape, pooled = prompts.pooled.shape
    guard states.count == 3, states[0] == pass.batch, states[1] > 0, states[2] == promptWidths.states,
      pooled == [pass.batch, promptWidths.pooled]
    else {
      throw .badEncodedPrompts(
        found: [states, pooled],
        expected: "[\(pass.batch), tokens, \(promptWidths.states)] and [\(pass.batch), \(promptWidths.pooled)]")
    }
    return DenoiserInput(latents: latents, image: image, text: prompts, timestep: pass.timestep, guidance: guidance)
  }
}

extension DiffusionPipeline {
  /// See `denoiserPass(_:step:latents:)`.
  public func denoiserPass(_ plan: GenerationPlan, step: Int) throws -> DenoiserPass {
    try denoiserPass(plan, step: step, latents: nil)
  }

  /// Plans, and opens a pass.
  public func denoiserPass(
    _ request: GenerationRequest, step: Int, latents: Tensor? = nil
  ) throws -> DenoiserPass {
    try denoiserPass(plan(request), step: step, latents: latents)
  }
}

extension DenoisingPipeline {
  public func denoiserPass(_ plan: GenerationPlan, step: Int, latents: Tensor?) throws -> DenoiserPass {
    guard let level = plan.levels.first(where: { $0.step == step }) else {
      throw RequestError.badStep(step, steps: plan.steps)
    }
    let (started, image) = try start(plan)
    if let latents, latents.shape != started.shape {
      throw RequestError.badLatents(found: latents.shape, expected: started.shape)
    }
    let prompts =
      try plan.encodedPrompts
      ?? encode(plan.prompts, maxSequenceLength: plan.maxSequenceLength, clipSkip: plan.clipSkip)
    for encoder in textEncoders { encoder.release() }
    let sampler = try sampler(steps: plan.steps, grid: plan.grid), positions = positions(grid: plan.grid)
    let isFirst = step == plan.levels.first?.step
    return DenoiserPass(
      latents: try latents?.converted(to: .f32) ?? (isFirst ? started : self.latents(before: step, plan)),
      prompts: prompts, pass: Pass(level, branch: .conditional, grid: plan.grid, batch: plan.prompts.count),
      run: { predict([ModelPass($0, hooks: $1)], positions, cache: nil)[0] },
      backward: { input, scalar, places, pass, processors in
        try gradient(of: scalar, at: places, input, positions, pass: pass, processors: processors)
      },
      toClean: { sampler.predictedClean($0, output: $1, at: step) }, image: image, guidance: plan.guidance.distilled,
      model: transformer, latentShape: started.shape, promptWidths: promptWidths)
  }

  /// What a step of a generation starts from.
  private func latents(before step: Int, _ plan: GenerationPlan) throws -> Tensor {
    do {
      _ = try generate(plan, processors: []) { done in
        if done.level.step + 1 == step { throw Reached(latents: done.state.latents) }
      }
    } catch let reached as Reached {
      return reached.latents
    }
    throw RequestError.badStep(step, steps: plan.steps)
  }
}

/// Ends a generation where its latents are wanted.
private struct Reached: Error { let latents: Tensor }
