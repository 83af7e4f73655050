/// What an interpretability method implements: it says once, when a run begins, what it does and where.
///
/// ```swift
/// final class Norms: AttentionProcessor {
///   private(set) var norms: [Float] = []
///
///   func install(_ hooks: inout HookPlan, on model: any StreamModel) {
///     norms = []
///     hooks.read("double.*.image.attentionOutput") { output, site, pass in
///       self.norms.append(output.squared().sum().squareRoot().item)
///     }
///   }
/// }
/// ```
///
/// Processors run in list order, phase by phase. At a site: every `rewrite`, each seeing what the one before
/// returned, then every `read`. Around the attention outputs of a block: every `edit`, then the `attentionOutput`
/// sites, then every `observe`. So whoever only looks sees the final value, whatever its place in the list.
public protocol AttentionProcessor: AnyObject {
  /// Shown in reports and errors.
  var name: String { get }

  /// Called when a run begins: enters what this processor does into `hooks`, and forgets what it has from earlier runs.
  ///
  /// - Parameter model: whose blocks and sites there are
  /// - Throws: whatever makes the run pointless, such as settings that select nothing
  func install(_ hooks: inout HookPlan, on model: any StreamModel) throws

  /// Whether it does not matter to it in which order it is called in the passes of one step. Passes of guidance go through
  /// the blocks together, each weight read once, where no processor is called in several of them; one that is, and says
  /// true here, lets them: it is then called block by block, in each block for one pass after the other. False unless
  /// given.
  var isIndependentOfPasses: Bool { get }

  /// Called when a run is over and everything that was asked for has been reached; does nothing unless given.
  ///
  /// - Throws: what shows only now: that nothing was changed after all, or that a file could not be completed
  func finish() throws
}

extension AttentionProcessor {
  public var name: String { String(describing: Self.self) }
  public var isIndependentOfPasses: Bool { false }
  public func finish() throws {}
}
