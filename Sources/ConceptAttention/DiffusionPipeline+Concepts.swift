import Models

extension DiffusionPipeline {
  /// The method for these concepts, to be installed on a run of this pipeline.
  ///
  /// ```swift
  /// let pipeline = try openPipeline("tiny-flux")
  /// let concepts = try pipeline.conceptAttention(["boat", "sea", "sky"])
  /// let result = try pipeline.generate(GenerationRequest("a boat on the sea"), processors: [concepts])
  /// let boat = try concepts.maps()["boat"]
  /// ```
  ///
  /// - Parameters:
  ///   - options: nil for the default with the layers that suit the checkpoint
  ///   - maxSequenceLength: tokens T5 is given; nil for what suits the checkpoint
  /// - Throws: `ConceptError` for an empty list or a concept that the tokenizer does not know
  public func conceptAttention(
    _ concepts: [String], options: ConceptAttentionOptions? = nil, maxSequenceLength: Int? = nil
  ) throws -> ConceptAttention {
    let options = options ?? ConceptAttentionOptions(layers: defaults.layers.map { Set($0) })
    let set: ConceptSet
    switch options.phrases {
    case .alone(let tokens):
      set = try ConceptSet(encodePhrases(concepts, maxSequenceLength: maxSequenceLength), tokens: tokens)
    case .padded(let phraseLength):
      set = try ConceptSet(encodePhrases(concepts, maxSequenceLength: phraseLength))
        .padded(to: maxSequenceLength ?? settings.sequenceLength)
    case .joined:
      let sentence = try encodePhrases([concepts.joined(separator: " ")], maxSequenceLength: maxSequenceLength)
      set = try ConceptSet(concepts, joined: sentence[0])
    }
    return ConceptAttention(set, options: options)
  }
}
