import ConceptAttention
import EmbeddedModels
import Models
import NN
import Tensor
import TestSupport
import Testing

/// What processors do between the passes of a run, and what a request brings along.
@Suite struct StepTests {
  private let pipeline: any DiffusionPipeline
  private let close = Tolerance(absolute: 1e-5, relativeToMax: 1e-5)

  init() throws { pipeline = try openPipeline("tiny-flux") }

  private func request(_ prompt: String = "a red star above a house", guided: Bool = true) -> GenerationRequest {
    var request = GenerationRequest(prompt)
    (request.steps, request.width, request.height) = (3, 64, 64)
    request.trueCFG = guided ? 3 : 1
    if guided { request.negativePrompt = "" }
    return request
  }

  /// Latents after every step.
  private func latents(_ request: GenerationRequest, _ processors: [any AttentionProcessor] = []) throws -> [Tensor] {
    var latents: [Tensor] = []
    _ = try pipeline.generate(request, processors: processors) { latents.append($0.latents) }
    return latents
  }

  @Test func aStepTellsWhatItSteppedWithAndWhereItLeads() throws {
    var steps: [GenerationStep] = []
    let result = try pipeline.generate(request()) { steps.append($0) }
    let prediction = try #require(steps[1].prediction), sigma = steps[1].level.sigma
    expectClose(
      steps[0].latents - prediction * (sigma - steps[2].level.sigma), steps[1].latents, close, "the step")
    expectClose(try #require(steps[1].clean), steps[0].latents - prediction * sigma, close, "clean latents")
    let plan = try pipeline.plan(request())
    #expect(pipeline.frames(ofLatents: steps[2].latents, plan).isIdentical(to: result.frames))
    let picture = result.video(), latents = pipeline.latents(ofFrames: picture)
    #expect(latents.shape == steps[2].latents.shape)
  }

  @Test func encodedPromptsStandForTheirPrompts() throws {
    let length = try pipeline.plan(request()).maxSequenceLength
    let star = request(), boat = request("a boat on the sea")
    var changed = request("whatever")
    changed.encodedPrompts = try pipeline.encode(star.prompts, maxSequenceLength: length, clipSkip: 0)
    #expect(try latents(changed).last?.isIdentical(to: #require(latents(star).last)) == true)
    changed.encodedPrompts = try pipeline.encode(boat.prompts, maxSequenceLength: length, clipSkip: 0)
    #expect(try latents(changed).last?.isIdentical(to: #require(latents(boat).last)) == true)
    changed.encodedNegative = changed.encodedPrompts
    // Guidance between two equals leads nowhere.
    expectClose(
      try #require(latents(changed).last), try #require(latents(request("a boat on the sea", guided: false)).last),
      close)
    for shape in [[1, 4, 3], [2, 4, 128], [4, 128]] {
      changed.encodedPrompts?.states = Tensor(zeros: shape)
      #expect(throws: RequestError.self, "\(shape)") { try pipeline.plan(changed) }
    }
  }

  @Test func latentsCanBeChangedAfterEveryStep() throws {
    var kept: [Tensor] = [], starts: [Tensor] = []
    let result = try pipeline.denoise(request()) { step in
      starts.append(step.before)
      kept.append(step.latents)
      return step.done == 1 ? step.latents * 0.5 : nil
    }
    #expect(starts[1].isIdentical(to: kept[0] * 0.5) && starts[2].isIdentical(to: kept[1]))
    let plain = try pipeline.generate(request())
    #expect(!result.frames.isIdentical(to: plain.frames))
    let own = Steps { $0.rewriteLatents(steps: [0]) { latents, _ in latents * 0.5 } }
    #expect(try pipeline.generate(request(), processors: [own]).frames.isIdentical(to: result.frames))
    #expect(throws: RequestError.self) {
      try pipeline.denoise(request()) { _ in Tensor(zeros: [1, 2]) }
    }
  }

  @Test func aFurtherPassWithAnotherPromptIsGuidance() throws {
    let length = try pipeline.plan(request()).maxSequenceLength
    let empty = try pipeline.encode([""], maxSequenceLength: length, clipSkip: 0)
    let own = Steps { hooks in
      hooks.guide(with: ExtraBranch("away", text: empty.states, pooled: empty.pooled)) { guided, outputs, _ in
        guard let plain = outputs[.conditional], let away = outputs["away"] else { return guided }
        return away + (plain - away) * 3
      }
    }
    let expected = try latents(request()), found = try latents(request(guided: false), [own])
    expectClose(try #require(found.last), try #require(expected.last), close)
  }

  @Test func perturbedAttentionMakesAPassOfItsOwn() throws {
    let cache = ActivationCache("double.0.image.attentionOutput", in: PassFilter(steps: [1], branches: nil))
    let guidance = PerturbedAttention([.init("double.0")], scale: 1.5, in: PassFilter(steps: [1]))
    let plain = try latents(request()), guided = try latents(request(), [guidance, cache])
    #expect(guided[0].isIdentical(to: plain[0]) && !guided[1].isIdentical(to: plain[1]))
    #expect(Set(cache.tensors.keys.map(\.branch)) == [.conditional, .unconditional, .perturbed])
    // Scale 0 leads nowhere, and what is not perturbed is not touched.
    let none = PerturbedAttention([.init("double.0")], scale: 0)
    #expect(try latents(request(), [none]).last?.isIdentical(to: #require(plain.last)) == true)
  }

  @Test func latentsCanBeChangedBetweenSteps() throws {
    let halving = Steps { $0.rewriteLatents(steps: [2]) { latents, _ in latents * 0.5 } }
    let plain = try latents(request()), halved = try latents(request(), [halving])
    #expect(halved[1].isIdentical(to: plain[1]) && halved[2].isIdentical(to: plain[2] * 0.5))
  }

  @Test func stepsAndBranchesThatDoNotFitAreRefused() throws {
    func refused(_ entering: @escaping (inout HookPlan) -> Void) throws -> String {
      let error = #expect(throws: HookError.self) { try latents(request(), [Steps(entering)]) }
      return error?.description ?? ""
    }
    #expect(try refused { $0.rewriteLatents(steps: [7]) { latents, _ in latents } }.contains("the latents"))
    #expect(try refused { $0.guide(with: ExtraBranch(.unconditional)) { guided, _, _ in guided } }.contains("already"))
    #expect(
      try refused {
        $0.guide(with: ExtraBranch("a")) { guided, _, _ in guided }
        $0.guide(with: ExtraBranch("a")) { guided, _, _ in guided }
      }.contains("'a', which there is already"))
    #expect(Pass.Branch(rawValue: "a.b") == nil && Pass.Branch(rawValue: "") == nil)
    #expect(Pass.Branch(rawValue: "conditional") == .conditional)
  }
}

private final class Steps: AttentionProcessor {
  private let entering: (inout HookPlan) -> Void
  init(_ entering: @escaping (inout HookPlan) -> Void) { self.entering = entering }
  func install(_ hooks: inout HookPlan, on model: any StreamModel) { entering(&hooks) }
}
