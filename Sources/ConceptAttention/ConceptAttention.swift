import NN
import Tensor

/// Saliency maps for any text concept: where in the picture does the transformer put it?
///
/// Concept tokens ride through the text half of every joint block as a stream of their own. They read concept and
/// image keys, nobody reads them, so the picture stays bit-identical. A map is the product of concept and image
/// attention outputs, soft-maxed over the concepts and averaged over layers and steps as they come: what is kept is
/// concepts × tokens numbers, never the vectors (unless `options.averaging` asks for them). Where a model reads prompts
/// through several text encoders, a concept has a token of each, and their vectors are averaged after attention.
///
/// Source: arXiv 2502.04320 §4; helblazer811/ConceptAttention.
public final class ConceptAttention: SaliencyMethod {
  public let concepts: ConceptSet
  public let options: ConceptAttentionOptions
  /// The name of the concepts' stream, as in `double.14.concepts.attentionOutput`.
  public let stream: StreamID
  private var accumulators: [SaliencySpace: SaliencyAccumulator] = [:]
  private var vectors: [SaliencySpace: VectorAccumulator] = [:]
  /// What the next run begins with.
  private var earlier: [String: Tensor] = [:]

  /// - Parameter stream: several instances in one run need names of their own
  public init(_ concepts: ConceptSet, options: ConceptAttentionOptions = .default, stream: StreamID = "concepts") {
    self.concepts = concepts
    self.options = options
    self.stream = stream
  }

  /// The averaged maps of all passes so far, in the first of `options.spaces`.
  ///
  /// - Throws: `SaliencyError.nothingRecorded` when no chosen layer of a chosen step has run
  public func maps() throws(SaliencyError) -> SaliencyMaps {
    guard let space = options.spaces.first else { throw .nothingRecorded }
    return try maps(space)
  }

  /// - Parameter space: one of `options.spaces`
  public func maps(_ space: SaliencySpace) throws(SaliencyError) -> SaliencyMaps {
    guard let accumulator = vectors[space]?.scores(space, options) ?? accumulators[space]
    else { throw .nothingRecorded }
    let maps = try accumulator.maps(concepts.names, softmaxLast: options.normalization == .softmaxOfMean)
    return options.blurs ? maps.blurred() : maps
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if let reason = options.contradiction(padding: concepts.paddingTokens) {
      throw HookError.refused(processor: name, reason: reason)
    }
    try takeUp(earlier)
    earlier = [:]
    let family = options.family ?? model.textFamily
    let blocks = options.layers?.sorted().map { BlockPattern("\(family).\($0)") } ?? ["\(family)"]
    try model.require(options.needs, in: blocks, for: name)
    let passes = PassFilter(steps: options.steps, branches: [options.branch])
    hooks.board(
      Rider(
        stream, embeddings: concepts.embeddings, pooled: concepts.pooled,
        reads: options.reads.streams(concepts: stream), families: [family]),
      in: passes)
    for block in blocks { hooks.observe(block, in: passes, add) }
  }

  /// Sums of the spaces, under `space/…` and, where vectors are averaged, `vectors/space/…`.
  private func takeUp(_ sums: [String: Tensor]) throws(SaliencyError) {
    (accumulators, vectors) = ([:], [:])
    for space in options.spaces {
      let own = sums.below("\(space.rawValue)/"), ownVectors = sums.below("vectors/\(space.rawValue)/")
      if !own.isEmpty { accumulators[space] = try SaliencyAccumulator(keeping: options.keeping, own) }
      if !ownVectors.isEmpty { vectors[space] = try VectorAccumulator(ownVectors) }
    }
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    let layer = block.id.layer
    for space in options.spaces {
      let found = space.vectors(block, concepts, stream, options)
      if let found, options.averaging == .vectors {
        vectors[space, default: VectorAccumulator()].add(found, layer: layer, grid: pass.grid)
      } else {
        let scores = found.map { space.scores($0, options) } ?? probabilities(block, concepts, stream, options)
        accumulators[space, default: SaliencyAccumulator(keeping: options.keeping)]
          .add(options.normalized(scores, of: concepts.names.count), layer: layer, step: pass.step, grid: pass.grid)
      }
    }
  }
}

extension ConceptAttention: ResumableMethod {
  public var sums: [String: Tensor] {
    var sums: [String: Tensor] = [:]
    for (space, accumulator) in accumulators {
      for (name, tensor) in accumulator.sums { sums["\(space.rawValue)/\(name)"] = tensor }
    }
    for (space, accumulator) in vectors {
      for (name, tensor) in accumulator.sums { sums["vectors/\(space.rawValue)/\(name)"] = tensor }
    }
    return sums
  }

  public func resume(from sums: [String: Tensor]) throws {
    try takeUp(sums)
    earlier = sums
  }
}

extension [String: Tensor] {
  /// Those whose names begin so, without that beginning.
  fileprivate func below(_ prefix: String) -> [String: Tensor] {
    reduce(into: [:]) { if $1.key.hasPrefix(prefix) { $0[String($1.key.dropFirst(prefix.count))] = $1.value } }
  }
}
