import NN
import Tensor

/// The cross-attention baseline as ConceptAttention's authors computed it for the paper's tables: products of image queries and
/// concept keys before rotation, unscaled, with a softmax over the concepts in every head, averaged over heads, layers and
/// steps. (Later versions of their code multiply queries by queries: `SaliencySpace.queryQuery`.)
///
/// Source: helblazer811/ConceptAttention at the time of arXiv 2502.04320, `modified_double_stream_block.py` and
/// `raw_cross_attention.py`.
public final class AuthorsCrossAttention: SaliencyMethod {
  public let concepts: ConceptSet
  /// The blocks concepts travel through; nil for those in which text has weights of its own.
  public let family: String?
  public let layers: Set<Int>?
  public let passes: PassFilter
  /// The name of the concepts' stream.
  public let stream: StreamID
  private var accumulator = SaliencyAccumulator(keeping: [])
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?

  /// - Parameter layers: of the family; nil for all
  public init(
    _ concepts: ConceptSet, family: String? = nil, layers: Set<Int>? = nil, passes: PassFilter = .conditional,
    stream: StreamID = "authors-concepts"
  ) {
    self.concepts = concepts
    self.family = family
    self.layers = layers
    self.passes = passes
    self.stream = stream
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    try accumulator.maps(concepts.names, softmaxLast: false)
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    accumulator = earlier ?? SaliencyAccumulator(keeping: [])
    earlier = nil
    let family = family ?? model.textFamily
    hooks.board(
      Rider(
        stream, embeddings: concepts.embeddings, pooled: concepts.pooled, reads: [stream, .image],
        families: [family]), in: passes)
    let blocks = layers?.sorted().map { BlockPattern("\(family).\($0)") } ?? ["\(family)"]
    for block in blocks { hooks.observe(block, in: passes, add) }
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    guard let concept = block[stream], let image = block[.image] else { return }
    let products = Tensor.matmul(concepts.perConcept(concept.key), image.query.transposed())
    accumulator.add(
      SaliencyScores(together: products.softmax(2).mean(1)), layer: block.id.layer, step: pass.step, grid: pass.grid)
  }
}

extension AuthorsCrossAttention: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws { earlier = try SaliencyAccumulator(keeping: [], sums) }
}
