import Tensor

/// What a processor does in one run: functions, each with the place it is called at. There is no other declaration, so
/// nothing can be declared and not called, or called and not declared.
///
/// Every place must exist in the model, and every function must have been called when the run ends: a slip of the pen
/// is an error, never a silent no-op.
public struct HookPlan {
  public typealias Read = (_ tensor: Tensor, _ site: Site, _ pass: Pass) -> Void
  public typealias Rewrite = (_ tensor: Tensor, _ site: Site, _ pass: Pass) -> Tensor
  /// From the gradient with respect to what a rewrite returned to that with respect to what it was given.
  public typealias RewriteVJP = (_ gradient: Tensor, _ site: Site, _ pass: Pass) -> Tensor
  public typealias Edit = (_ block: inout BlockView, _ pass: Pass) -> Void
  public typealias Observe = (_ block: BlockView, _ pass: Pass) -> Void
  public typealias ReadOut = (_ output: ReadOutView, _ block: BlockID, _ pass: Pass) -> Void
  public typealias Attend = (
    _ call: AttentionCall, _ pass: Pass, _ next: (AttentionCall) -> [Tensor]
  ) -> [Tensor]

  public typealias Guide = (_ guided: Tensor, _ outputs: [Pass.Branch: Tensor], _ pass: Pass) -> Tensor
  public typealias RewriteLatents = (_ latents: Tensor, _ pass: Pass) -> Tensor

  /// One function and where it is called.
  struct Entry {
    enum Action {
      case read(SitePattern, Read)
      case rewrite(SitePattern, Rewrite, RewriteVJP?)
      case edit(BlockPattern, Edit)
      case observe(BlockPattern, AttentionCall.Part, Observe)
      case attend(BlockPattern, AttentionCall.Part, Attend)
      case readOut(BlockPattern, ReadOut)
      case board(Rider)
      case guide(ExtraBranch?, Guide)
      case latents(RewriteLatents)
    }
    var action: Action
    var passes: PassFilter
  }

  private(set) var entries: [Entry] = []

  init() {}

  mutating func add(_ action: Entry.Action, _ passes: PassFilter) {
    entries.append(Entry(action: action, passes: passes))
  }

  /// Looks at a site's tensor after every rewrite.
  public mutating func read(_ sites: SitePattern, in passes: PassFilter = .conditional, _ body: @escaping Read) {
    entries.append(Entry(action: .read(sites, body), passes: passes))
  }

  /// Looks at what a block adds to a stream: its `residualOutput` less its `residualInput`, `[batch, tokens, dim]`.
  public mutating func readDelta(
    _ blocks: BlockPattern, of stream: StreamID, in passes: PassFilter = .conditional, _ body: @escaping Read
  ) {
    let place = blocks.text.contains(".") ? blocks.text : "\(blocks.text).*"
    let entered = Box()
    read("\(place).\(stream).residualInput", in: passes) { tokens, _, pass in
      entered.tensors[pass.branch] = tokens
    }
    read("\(place).\(stream).residualOutput", in: passes) { tokens, site, pass in
      if let before = entered.tensors.removeValue(forKey: pass.branch) { body(tokens - before, site, pass) }
    }
  }

  /// Passes may go through the blocks together.
  private final class Box { var tensors: [Pass.Branch: Tensor] = [:] }

  /// Replaces a site's tensor by one of the same shape, which `Site.Point` gives.
  ///
  /// - Parameter vjp: the way back through a rewrite that is linear in the tensor, or constant: what is added to it leaves
  ///   the gradient as it is, and what takes its place leaves zeros. nil, unless given: a pass whose tensors it changes has no
  ///   gradient
  public mutating func rewrite(
    _ sites: SitePattern, in passes: PassFilter = .every, vjp: RewriteVJP? = nil, _ body: @escaping Rewrite
  ) {
    entries.append(Entry(action: .rewrite(sites, body, vjp), passes: passes))
  }

  /// Changes attention outputs with all streams of a block in view.
  public mutating func edit(_ blocks: BlockPattern, in passes: PassFilter = .every, _ body: @escaping Edit) {
    entries.append(Entry(action: .edit(blocks, body), passes: passes))
  }

  /// Looks at all streams of a block after every edit; of a second attention, at the streams that have it.
  ///
  /// - Parameter part: which of a block's attentions
  public mutating func observe(
    _ blocks: BlockPattern, part: AttentionCall.Part = .joint, in passes: PassFilter = .conditional,
    _ body: @escaping Observe
  ) {
    entries.append(Entry(action: .observe(blocks, part, body), passes: passes))
  }

  /// Computes attention, or changes what goes into or comes out of `next`, the default. The function returns one output
  /// per query of the call, `[batch, heads, tokens, headDim]`. Streams that read the same streams share a call; a block
  /// with riders makes several.
  ///
  /// - Parameter part: which of a block's attentions
  public mutating func attend(
    _ blocks: BlockPattern, part: AttentionCall.Part = .joint, in passes: PassFilter = .every,
    _ body: @escaping Attend
  ) {
    entries.append(Entry(action: .attend(blocks, part, body), passes: passes))
  }

  /// Looks at what the model would give if it ended with a block: its output layers, applied to the image tokens that leave
  /// the block. The layers are the model's own, with this pass's conditioning; after the last block it is the output itself.
  public mutating func readOut(
    _ blocks: BlockPattern, in passes: PassFilter = .conditional, _ body: @escaping ReadOut
  ) {
    entries.append(Entry(action: .readOut(blocks, body), passes: passes))
  }

  /// Adds a stream of tokens. Its sites then exist, in the blocks it travels through.
  public mutating func board(_ rider: Rider, in passes: PassFilter = .conditional) {
    entries.append(Entry(action: .board(rider), passes: passes))
  }
}

/// What the model's output layers make of the tokens that leave a block.
public struct ReadOutView {
  /// What the model predicts (the velocity, the noise), in the shape of its output.
  public let prediction: Tensor
  let toClean: ((Tensor) -> Tensor)?

  public init(prediction: Tensor, toClean: ((Tensor) -> Tensor)? = nil) {
    self.prediction = prediction
    self.toClean = toClean
  }

  /// The clean latents that the prediction stands for, x̂₀; nil outside of a run with a sampler.
  public var clean: Tensor? { toClean?(prediction) }
}

/// Which passes a function is called in.
public struct PassFilter: Sendable, Hashable {
  /// Denoising steps, from 0; nil for all.
  public var steps: Set<Int>?
  /// Branches of guidance; nil for all.
  public var branches: Set<Pass.Branch>?

  public init(steps: Set<Int>? = nil, branches: Set<Pass.Branch>? = [.conditional]) {
    self.steps = steps
    self.branches = branches
  }

  /// The passes with the prompt. What looks at tensors looks at these unless told otherwise: with guidance every step
  /// makes two passes or more, and mixing them means nothing.
  public static let conditional = PassFilter()
  /// All passes. What changes tensors changes them in all unless told otherwise.
  public static let every = PassFilter(branches: nil)

  public func contains(_ pass: Pass) -> Bool {
    steps?.contains(pass.step) ?? true && branches?.contains(pass.branch) ?? true
  }
}
