import Tensor

/// What processors did in a pass, so that the way back meets it again without calling them twice.
final class PassLog {
  /// Tensors that rewrites left at a site, with the ways back through each of them, in order.
  private(set) var rewrites: [Site: (value: Tensor, vjps: [(Tensor) -> Tensor])] = [:]
  /// How each stream attended.
  private(set) var calls: [Key: AttentionCall] = [:]
  /// The first thing that there is no way back through.
  private(set) var problem: GradientError?

  struct Key: Hashable {
    let block: BlockID
    let part: AttentionCall.Part
    let query: StreamID
  }

  func rewritten(
    _ site: Site, from before: Tensor, to after: Tensor, by hook: BlockHooks.Hook<HookPlan.Rewrite>, in pass: Pass
  ) {
    if after.isIdentical(to: before) { return }
    guard let vjp = hook.vjp else {
      problem = problem ?? .rewritten(site, processor: hook.processor)
      return
    }
    rewrites[site, default: (after, [])].value = after
    rewrites[site]?.vjps.append { vjp($0, site, pass) }
  }

  /// - Parameters:
  ///   - call: as the model made it
  ///   - computed: what the kernel was given in the end
  func attended(
    _ call: AttentionCall, _ computed: AttentionCall, _ outputs: [Tensor],
    _ replacements: [BlockHooks.Hook<HookPlan.Attend>]?
  ) {
    if let replacements, problem == nil, !isChangeOnly(call, computed, outputs) {
      problem = .replacedAttention(call.block, processor: replacements.map(\.processor).joined(separator: ", "))
    }
    for query in call.queries {
      var kept = computed
      // The tensors are computed again.
      (kept.queries, kept.sources) = ([], [])
      calls[Key(block: call.block, part: call.part, query: query.stream)] = kept
    }
  }

  /// Whether masks, biases and scales are all that a processor changed.
  private func isChangeOnly(_ call: AttentionCall, _ computed: AttentionCall, _ outputs: [Tensor]) -> Bool {
    func same(_ a: [Tensor], _ b: [Tensor]) -> Bool {
      a.count == b.count && zip(a, b).allSatisfy { $0.isIdentical(to: $1) }
    }
    return call.queries.map(\.stream) == computed.queries.map(\.stream)
      && call.sources.map(\.stream) == computed.sources.map(\.stream)
      && same(call.queries.map(\.tensor), computed.queries.map(\.tensor))
      && same(call.sources.map(\.key), computed.sources.map(\.key))
      && same(call.sources.map(\.value), computed.sources.map(\.value)) && same(outputs, computed.compute())
  }

  func edited(
    _ block: BlockID, _ before: [Tensor], _ view: BlockView, _ edits: [BlockHooks.Hook<HookPlan.Edit>]
  ) {
    guard problem == nil, !zip(before, view.streams).allSatisfy({ $0.isIdentical(to: $1.output) }) else { return }
    problem = .edited(block, processor: edits.map(\.processor).joined(separator: ", "))
  }
}

/// Why there is no gradient.
public enum GradientError: Error, Equatable, CustomStringConvertible {
  /// A rewrite that did not say how a gradient goes back through it.
  case rewritten(Site, processor: String)
  case edited(BlockID, processor: String)
  case replacedAttention(BlockID, processor: String)
  /// A block of a model's own that does not adopt `DifferentiableHalf`.
  case notDifferentiable(BlockID, half: String)
  /// A scalar's derivative of a shape that its place does not have.
  case badDerivative(place: String, found: [Int], expected: [Int])
  /// A scalar that depends on nothing, or places that select nothing.
  case nothing(String)
  /// Something asked for that this model or pass does not have.
  case noSuchPlace(String, reason: String)

  public var description: String {
    switch self {
    case .rewritten(let site, let processor):
      "gradient: \(processor) rewrites \(site) without a way back; give HookPlan.rewrite a vjp"
    case .edited(let block, let processor):
      "gradient: \(processor) edits attention outputs of block \(block), and an edit has no way back; a rewrite at the "
        + "attentionOutput sites can have one"
    case .replacedAttention(let block, let processor):
      "gradient: \(processor) replaces the attention of block \(block), which has no way back; biases, masks, scales and "
        + "dropped values that `next` is given have one"
    case .notDifferentiable(let block, let half):
      "gradient: block \(block) has a half \(half), which does not adopt DifferentiableHalf"
    case .badDerivative(let place, let found, let expected):
      "gradient: the scalar's derivative at \(place) has shape \(found), expected \(expected)"
    case .nothing(let what): "gradient: \(what)"
    case .noSuchPlace(let place, let reason): "gradient: '\(place)' \(reason)"
    }
  }
}
