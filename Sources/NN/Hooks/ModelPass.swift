import Tensor

/// What a model is given for one of several passes that go through its blocks together.
public struct ModelPass<Input> {
  public let input: Input
  /// The processors, in this pass.
  public let hooks: HookRun?
  public let branch: Pass.Branch
  /// Blocks that it passes over.
  public let skipped: Set<BlockID>

  public init(_ input: Input, hooks: HookRun? = nil, branch: Pass.Branch = .conditional, skipped: Set<BlockID> = []) {
    (self.input, self.hooks, self.branch, self.skipped) = (input, hooks, branch, skipped)
  }

  /// The same pass in other terms.
  public func with<Other>(_ input: Other) -> ModelPass<Other> {
    .init(input, hooks: hooks, branch: branch, skipped: skipped)
  }
}

extension StreamModel {
  /// Runs passes through the blocks together.
  ///
  /// - Parameter open: the streams of a pass as they enter the first block, and the output layers
  /// - Returns: what the output layers make of the image tokens of each
  public func run<Input>(
    _ passes: [ModelPass<Input>], through blocks: some Sequence<(any JointBlock, BlockID)>, _ support: BlockSupport,
    open: (Input, HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor)
  ) -> [Tensor] {
    var running: [RunningPass] = [], outputs: [(Tensor) -> Tensor] = []
    for pass in passes {
      let (streams, readOut) = open(pass.input, pass.hooks)
      running.append(RunningPass(streams, hooks: pass.hooks, branch: pass.branch, skipped: pass.skipped))
      outputs.append(readOut)
    }
    runJointBlocks(blocks, &running, support: support)
    return zip(running, outputs).map { $1($0.streams[.image].tokens) }
  }
}
