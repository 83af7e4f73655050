import NN
import Tensor

/// The attention of a weaker model for guidance to lead away from: chosen heads give what they would if every token saw
/// only itself.
///
/// `out = (1 - u) A V + u · target`, with `u` the softness. With a scale, every step makes a further pass, `perturbed`, with
/// these heads changed, and what the sampler steps with is `guided + scale (conditional - perturbed)`. Without, the passes
/// chosen are changed themselves: what do the heads do?
///
/// Source: arXiv 2403.17377 (PAG); arXiv 2506.10978 (SoftPAG, HeadHunter).
public final class PerturbedAttention: AttentionProcessor {
  public enum Mode: String, Sendable, CaseIterable {
    /// Every token keeps its value: HeadHunter's.
    case identityAll
    /// Every image token keeps its value; text is left alone: the papers'.
    case identityImage
    /// Image tokens see themselves and the text: diffusers' for Stable Diffusion 3.
    case maskImage
  }

  /// Which heads of which blocks.
  public struct Choice: Sendable {
    public let blocks: BlockPattern
    /// nil for all.
    public let heads: Set<Int>?

    public init(_ blocks: BlockPattern, heads: Set<Int>? = nil) {
      self.blocks = blocks
      self.heads = heads
    }
  }

  public let choices: [Choice]
  public let mode: Mode
  /// 0 … 1; 1 replaces, less mixes.
  public let softness: Float
  /// How far to lead away from the perturbed pass; nil to make none.
  public let scale: Float?
  public let passes: PassFilter

  /// - Parameter passes: those to change; with a scale, only their steps count
  public init(
    _ choices: [Choice], mode: Mode = .identityImage, softness: Float = 1, scale: Float? = nil,
    in passes: PassFilter = .every
  ) {
    self.choices = choices
    self.mode = mode
    self.softness = softness
    self.scale = scale
    self.passes = scale == nil ? passes : PassFilter(steps: passes.steps, branches: [.perturbed])
  }

  /// `base + scale (conditional - perturbed)`.
  public static func guided(_ base: Tensor, conditional: Tensor, perturbed: Tensor, scale: Float) -> Tensor {
    base + (conditional - perturbed) * scale
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if choices.isEmpty || choices.contains(where: { $0.heads?.isEmpty == true }) {
      throw HookError.refused(processor: name, reason: "no head is chosen")
    }
    guard softness > 0, softness <= 1 else {
      throw HookError.refused(processor: name, reason: "softness is \(softness), expected above 0 and at most 1")
    }
    if let scale {
      hooks.guide(steps: passes.steps, with: ExtraBranch(.perturbed)) { guided, outputs, _ in
        guard let plain = outputs[.conditional], let perturbed = outputs[.perturbed] else { return guided }
        return Self.guided(guided, conditional: plain, perturbed: perturbed, scale: scale)
      }
    }
    for choice in choices {
      hooks.attend(choice.blocks, in: passes) { call, _, next in
        let targets = self.targets(call, next), plain = next(call)
        return zip(plain, targets).map { plain, target in target.map { self.mixed(plain, $0, choice, call) } ?? plain }
      }
    }
  }

  /// What chosen heads give; nil for a stream that is left alone.
  private func targets(_ call: AttentionCall, _ next: (AttentionCall) -> [Tensor]) -> [Tensor?] {
    func value(_ stream: StreamID) -> Tensor? { call.sources.first { $0.stream == stream }?.value }
    switch mode {
    case .identityAll: return call.queries.map { value($0.stream) }
    case .identityImage: return call.queries.map { $0.stream == .image ? value(.image) : nil }
    case .maskImage:
      guard let tokens = value(.image)?.shape[2] else { return call.queries.map { _ in nil } }
      var masked = call
      let others = Tensor(identity: tokens, dtype: .bool).logicalNot().reshaped(1, 1, tokens, tokens)
      masked.forbid(others, query: .image, key: .image)
      return zip(call.queries, next(masked)).map { $0.stream == .image ? $1 : nil }
    }
  }

  private func mixed(_ plain: Tensor, _ target: Tensor, _ choice: Choice, _ call: AttentionCall) -> Tensor {
    let mix = softness == 1 ? target : plain * (1 - softness) + target * softness
    guard let heads = choice.heads else { return mix }
    let count = plain.shape[1]
    if let outside = heads.first(where: { !(0..<count).contains($0) }) {
      tensorFailure("PerturbedAttention in block \(call.block): no head \(outside), there are \(count)")
    }
    var result = plain
    for head in heads { result[.all, head] = mix[.all, head] }
    return result
  }
}
