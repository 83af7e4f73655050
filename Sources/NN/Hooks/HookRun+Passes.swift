// What is asked of a run about passes as a whole: which may go together, and which blocks they cannot do without.

extension HookRun {
  /// Whether passes may go through the blocks together, block by block, without any processor noticing: it is called in one
  /// of them at most, or says that it does not mind.
  public func mayGoTogether(_ passes: [Pass]) -> Bool {
    processors.indices.allSatisfy { owner in
      processors[owner].isIndependentOfPasses
        || passes.count { pass in
          entries.contains { $0.owner == owner && $0.isInBlocks && $0.plan.passes.contains(pass) }
        } < 2
    }
  }

  /// What a processor wants of blocks in a pass.
  enum Demand: Equatable {
    case nothing
    /// Somebody looks, or a rider travels, as far as this block.
    case looks(BlockID, processor: String)
    /// Somebody changes what the model computes.
    case changes(processor: String)
  }

  /// The most that anybody wants in a pass.
  ///
  /// - Parameter running: the blocks that run in it, in their order
  func demand(in pass: Pass, of running: [BlockID]) -> Demand {
    var last: Demand = .nothing
    let riders = entries.compactMap { entry in
      entry.plan.passes.contains(pass) ? entry.rider : nil
    }
    for block in running {
      if let hooks = table[block]?.active(in: pass) {
        if let changer = hooks.changer { return .changes(processor: changer) }
        last = .looks(block, processor: hooks.viewer ?? "a processor")
      } else if let rider = riders.first(where: { $0.rider.families?.contains(block.family) ?? true }) {
        last = .looks(block, processor: rider.processor)
      }
    }
    return last
  }
}

extension HookRun.Entry {
  /// Whether blocks are where it acts.
  fileprivate var isInBlocks: Bool {
    switch plan.action {
    case .guide, .latents: false
    case .read, .rewrite, .edit, .observe, .attend, .readOut, .board: true
    }
  }
}

extension BlockHooks {
  /// Who changes what a block computes.
  fileprivate var changer: String? {
    edits.first?.processor ?? replacements.values.lazy.compactMap(\.first?.processor).first
      ?? sites.values.lazy.compactMap(\.rewrites.first?.processor).first
  }

  /// Who looks at it.
  fileprivate var viewer: String? {
    observers.first?.processor ?? dualObservers.first?.processor ?? readOuts.first?.processor
      ?? sites.values.lazy.compactMap(\.reads.first?.processor).first
  }
}
