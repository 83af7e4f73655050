import NN
import Tensor

/// A column of the Gram matrix of image attention outputs for every concept: the inner products of one token, the one that
/// looks at the concept most, with all tokens of its frame. What is like that token is what the concept is about.
///
/// Source: arXiv 2603.02919 (GramCol), §3.
public struct GramColumns: Sendable {
  /// Scaled products of image queries and concept keys, `[batch, heads, concepts, tokens]`.
  public let logits: Tensor
  /// The token that matches best in every frame, counted within the frame, `[batch, heads, concepts, frames]`, `i64`.
  public let matched: Tensor
  /// Its inner products, `[batch, heads, concepts, tokens]`.
  public let gram: Tensor
  /// With mean 0 and deviation 1 over the concepts, `[batch, heads, concepts, tokens]`.
  public let standardized: Tensor

  /// - Parameters:
  ///   - query: of image tokens, `[batch, heads, tokens, headDim]`
  ///   - key: of concepts, `[batch, heads, concepts, headDim]`, two at least
  ///   - output: attention outputs of image tokens, `[batch, heads, tokens, headDim]`
  ///   - frames: runs of as many tokens
  public init(query: Tensor, key: Tensor, output: Tensor, frames: Int, scale: Float) {
    let shape = output.shape, perFrame = shape[2] / frames, concepts = key.shape[2]
    logits = Tensor.matmul(key, query.transposed()) * scale
    matched = logits.unflattened(3, frames, perFrame).argmax(-1)
    let starts = Tensor(scalars: (0..<frames).map { $0 * perFrame })
    let places = (matched + starts).flattened(from: 2).unsqueezed(3)
    let columns = output.gather(2, places.broadcast(to: [shape[0], shape[1], concepts * frames, shape[3]]))
    let own = columns.unflattened(2, concepts, frames).transposed(2, 3)  // [batch, heads, frames, concepts, headDim]
    gram = Tensor.matmul(own, output.unflattened(2, frames, perFrame).transposed())
      .transposed(2, 3).flattened(from: 3)
    let deviation = gram.standardDeviation(2, keepDims: true)
    standardized = (gram - gram.mean(2, keepDims: true)) / (deviation + 1e-6)
  }
}

/// How far apart the frames of a video are in the attention outputs of every head: the Calinski-Harabasz index with frames as
/// clusters. Heads in which they are far apart follow what moves.
///
/// - Parameter outputs: `[batch, heads, tokens, headDim]`
/// - Returns: `[batch, heads]`
public func frameSeparation(_ outputs: Tensor, frames: Int) -> Tensor {
  let tokens = outputs.shape[2], x = outputs.unflattened(2, frames, tokens / frames)
  let centres = x.mean(3, keepDims: true), centre = outputs.mean(2, keepDims: true).unsqueezed(2)
  let between = (centres - centre).squared().sum(2, 3, 4) * Float(tokens / frames)
  let within = (x - centres).squared().sum(2, 3, 4)
  return between * Float(tokens - frames) / (within * Float(frames - 1))
}

/// Maps of concepts by Gram columns; for videos with the heads chosen whose frames are farthest apart (IMAP).
///
/// Concepts travel along as in `ConceptAttention`.
///
/// Source: arXiv 2603.02919. The sum over all heads (GramCol) and the mean over chosen ones (IMAP) go into the softmax over
/// the concepts as they do in the published code.
public final class GramCol: SaliencyMethod {
  public let concepts: ConceptSet
  public let options: ConceptAttentionOptions
  /// How many heads count, by `frameSeparation`; nil for all. Needs a video.
  public let topHeads: Int?
  public let stream: StreamID
  private var accumulator = SaliencyAccumulator(keeping: [])
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?

  /// - Parameter options: layers, steps, branch, family, what is kept, and whether there is a softmax: without, maps are
  ///   means over heads and layers
  public init(
    _ concepts: ConceptSet, options: ConceptAttentionOptions = .default, topHeads: Int? = nil,
    stream: StreamID = "concepts"
  ) {
    self.concepts = concepts
    self.options = options
    self.topHeads = topHeads
    self.stream = stream
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    if concepts.names.count < 2 {
      throw HookError.refused(processor: name, reason: "one concept alone has nothing to be compared with")
    }
    if let topHeads, topHeads < 1 {
      throw HookError.refused(processor: name, reason: "no head is chosen, so there is nothing to map")
    }
    accumulator = earlier ?? SaliencyAccumulator(keeping: options.keeping.withoutHeads)
    earlier = nil
    let family = options.family ?? model.textFamily
    let passes = PassFilter(steps: options.steps, branches: [options.branch])
    let blocks = options.layers?.sorted().map { BlockPattern("\(family).\($0)") } ?? ["\(family)"]
    try model.require(
      [(.text, .query), (.text, .key), (.image, .query), (.image, .key), (.image, .attentionOutput)], in: blocks,
      for: name)
    hooks.board(
      Rider(
        stream, embeddings: concepts.embeddings, pooled: concepts.pooled,
        reads: options.reads.streams(concepts: stream), families: [family]), in: passes)
    for block in blocks { hooks.observe(block, in: passes, add) }
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    try accumulator.maps(concepts.names, softmaxLast: options.normalization == .softmaxOfMean)
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    guard let concept = block[stream], let image = block[.image] else { return }
    let columns = GramColumns(
      query: image.rotatedQuery, key: concepts.perConcept(concept.rotatedKey), output: image.output,
      frames: pass.grid.frames, scale: block.scale)
    let scores = together(columns.standardized, image.output, frames: pass.grid.frames)
    accumulator.add(
      SaliencyScores(together: options.normalization == .softmax ? scores.softmax(-2) : scores), layer: block.id.layer,
      step: pass.step, grid: pass.grid)
  }

  /// - Returns: `[batch, concepts, tokens]`
  private func together(_ standardized: Tensor, _ outputs: Tensor, frames: Int) -> Tensor {
    let heads = standardized.shape[1]
    if let topHeads, frames > 1, topHeads < heads {
      let best = frameSeparation(outputs, frames: frames).topK(topHeads).indices  // [batch, topHeads]
      let chosen = best.oneHot(heads).sum(1).unsqueezed(2).unsqueezed(3)
      return (standardized * chosen).sum(1) / Float(topHeads)
    }
    return options.normalization == .softmax && topHeads == nil ? standardized.sum(1) : standardized.mean(1)
  }
}

extension GramCol: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws {
    earlier = try SaliencyAccumulator(keeping: options.keeping.withoutHeads, sums)
  }
}
