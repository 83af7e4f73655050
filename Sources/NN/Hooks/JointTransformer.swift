import Tensor

/// A transformer of joint blocks between layers that make streams of its input and layers that read them out. Passes come from
/// here: one, several together, or as far as somebody looks.
public protocol JointTransformer: StreamModel {
  /// What one pass is given.
  associatedtype Input

  /// In the order of `blocks`.
  var jointBlocks: [any JointBlock] { get }
  /// Of the blocks' weights, where that takes care.
  var residency: (any BlockResidency)? { get }

  /// The blocks that run for an input, in order; all unless given.
  func running(_ input: Input) -> [(any JointBlock, BlockID)]
  /// The streams as they enter the first block, riders among them, and the output layers.
  func streams(_ input: Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor)
}

extension JointTransformer {
  public func running(_ input: Input) -> [(any JointBlock, BlockID)] { zip(jointBlocks, blocks).map { ($0, $1) } }

  /// What the output layers make of the image tokens.
  public func callAsFunction(_ input: Input, hooks: HookRun? = nil) -> Tensor {
    self([ModelPass(input, hooks: hooks)])[0]
  }

  /// The same of several passes that go through the blocks together, each with the bits it has alone.
  public func callAsFunction(_ passes: [ModelPass<Input>], cache: BlockCache? = nil) -> [Tensor] {
    let passes = passes.map { pass in
      ModelPass(
        pass.input, hooks: pass.hooks, branch: pass.branch,
        skipped: pass.skipped.union(Set(blocks).subtracting(running(pass.input).map(\.1))))
    }
    return run(passes, through: zip(jointBlocks, blocks), .init(residency: residency, cache: cache)) { streams($0, $1) }
  }

  /// Runs only as far as the hooks look: the pass over an existing picture or video.
  public func look(_ input: Input, hooks: HookRun) {
    var streams = streams(input, hooks).0
    runJointBlocks(running(input), &streams, hooks: hooks, looksOnly: true, support: .init(residency: residency))
  }
}
