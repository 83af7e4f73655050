/// Has the weights of blocks in memory when they are needed, where they come from a file that is larger than the memory.
public protocol BlockResidency: Sendable {
  /// A block is about to run.
  ///
  /// - Parameter coming: the blocks that run after it in this pass, in their order
  func willRun(_ block: BlockID, before coming: [BlockID])

  /// A block has run.
  func didRun(_ block: BlockID)
}
