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
public final class ConceptAttention: AttentionProcessor {
  public let concepts: ConceptSet
  public let options: ConceptAttentionOptions
  /// The name of the concepts' stream, as in `double.14.concepts.attentionOutput`.
  public let stream: StreamID
  private var accumulators: [SaliencySpace: SaliencyAccumulator] = [:]
  private var vectors: [SaliencySpace: VectorAccumulator] = [:]
  private var family = ""

  /// - Parameter stream: several instances in one run need names of their own
  public init(_ concepts: ConceptSet, options: ConceptAttentionOptions = .default, stream: StreamID = "concepts") {
    self.concepts = concepts
    self.options = options
    self.stream = stream
  }

  /// The averaged maps of all passes so far.
  ///
  /// - Parameter space: one of `options.spaces`; the first unless given
  /// - Throws: `SaliencyError.nothingRecorded` when no chosen layer of a chosen step has run
  public func maps(_ space: SaliencySpace? = nil) throws(SaliencyError) -> SaliencyMaps {
    guard let space = space ?? options.spaces.first,
      let accumulator = vectors[space]?.scores(space, options) ?? accumulators[space]
    else { throw .nothingRecorded }
    let maps = try accumulator.maps(concepts.names, softmaxLast: options.normalization == .softmaxOfMean)
    return options.blurs ? maps.blurred() : maps
  }

  // MARK: AttentionProcessor

  public func install(on model: any StreamModel) { family = options.family ?? model.textFamily }

  public var riderIDs: [StreamID] { [stream] }

  /// The chosen layers, so that a layer the model does not have is an error when installed.
  public var patterns: [SitePattern] {
    options.layers?.sorted().map { SitePattern("\(family).\($0).\(stream).attentionOutput") } ?? []
  }

  public func riders(for pass: Pass) -> [Rider] {
    guard isWanted(pass) else { return [] }
    return [
      Rider(
        stream, embeddings: concepts.embeddings, pooled: concepts.pooled,
        reads: options.reads.streams(concepts: stream), families: [family])
    ]
  }

  public func watches(_ block: BlockID) -> Bool {
    block.family == family && (options.layers?.contains(block.layer) ?? true)
  }

  public func observe(_ block: BlockView, _ pass: Pass) {
    guard isWanted(pass), block[stream] != nil else { return }
    let layer = block.block.layer
    for space in options.spaces {
      let found = space.vectors(block, concepts, stream, options)
      if let found, options.averaging == .vectors {
        vectors[space, default: VectorAccumulator()].add(found, layer: layer, grid: pass.grid)
      } else {
        let scores = found.map { space.scores($0, options) } ?? probabilities(block, concepts, stream, options)
        accumulators[space, default: SaliencyAccumulator(keeping: options.keeping)]
          .add(options.normalized(scores), layer: layer, step: pass.step, grid: pass.grid)
      }
    }
  }

  private func isWanted(_ pass: Pass) -> Bool {
    pass.branch == options.branch && (options.steps?.contains(pass.step) ?? true)
  }
}
