import NN

extension StreamModel {
  /// Refuses blocks in which streams lack what a method takes of them: where image tokens read the prompt and the prompt reads
  /// nobody, concepts that travel as text ask nothing, and their output would mean nothing.
  ///
  /// - Parameters:
  ///   - needs: what must be there of a stream; a rider has what the stream has that it is processed as
  ///   - processor: who asks, for the message
  /// - Throws: `HookError.refused`
  func require(
    _ needs: [(stream: StreamID, point: Site.Point)], in patterns: [BlockPattern], for processor: String
  ) throws(HookError) {
    for block in blocks where patterns.contains(where: { $0.matches(block) }) {
      let present = streams(in: block)
      for need in needs
      where !present.contains(need.stream) || !points(of: need.stream, in: block).contains(need.point) {
        throw .refused(
          processor: processor,
          reason:
            "in block \(block) '\(need.stream)' has no \(need.point.rawValue): this method needs blocks in which text "
            + "and image tokens attend together")
      }
    }
  }
}

extension ConceptAttentionOptions {
  /// What the blocks must have of text, as which concepts travel, and of image tokens.
  var needs: [(stream: StreamID, point: Site.Point)] {
    var needs = spaces.flatMap { space -> [(stream: StreamID, point: Site.Point)] in
      switch space {
      case .output: [(.text, .attentionOutput), (.image, .attentionOutput)]
      case .crossAttention: [(.text, .key), (.image, .query)]
      case .conceptQuery, .attention: [(.text, .query), (.image, .key)]
      case .queryQuery: [(.text, .query), (.image, .query)]
      case .value: [(.text, .value), (.image, .value)]
      }
    }
    // What concepts see decides their outputs and weights only.
    if spaces.contains(.output) || spaces.contains(.attention) {
      if reads == .image || reads == .conceptsAndImage { needs += [(.image, .key), (.image, .value)] }
      if reads == .concepts || reads == .conceptsAndImage { needs += [(.text, .key), (.text, .value)] }
    }
    return needs
  }
}
