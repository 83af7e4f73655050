import Models
import NN
import Tensor

extension Scalar {
  /// How far the concept maps of a block are from a labelling: the mean cross-entropy, over image tokens, of the softmax over
  /// concepts of the products of concept and image attention outputs (ConceptAttention's maps, arXiv 2502.04320 §4). Needs
  /// the concepts on board: install the `ConceptAttention` itself as a processor.
  ///
  /// - Parameters:
  ///   - block: where concepts travel, such as `double.3`; a pattern adds up the blocks it selects
  ///   - target: the wanted probability of every concept, `[concepts, tokens]` or `[batch, concepts, tokens]`; one-hot for a
  ///     mask
  ///   - concepts: of the run; their tokens are taken as the method takes them
  public static func conceptMaps(_ block: BlockPattern, of concepts: ConceptAttention, target: Tensor) -> Scalar {
    let set = concepts.concepts, head = ScalarHead.softmaxCrossEntropy(with: target, axis: -2)
    let place = block.text.contains(".") ? block.text : "\(block.text).*"
    /// By block, `[batch, concepts, dim]` and `[batch, tokens, dim]`.
    func vectors(_ readings: Readings) -> [(concept: (Site, Tensor), image: (Site, Tensor))] {
      readings.sites.filter { $0.key.stream == concepts.stream && $0.key.point == .attentionOutput }
        .sorted { "\($0.key)" < "\($1.key)" }
        .compactMap { site, output in
          let image = Site(site.block, .image, .attentionOutput)
          guard block.matches(site.block), let tokens = readings.sites[image] else { return nil }
          return ((site, set.conceptMeans(output.mergedHeads)), (image, tokens.mergedHeads))
        }
    }
    return Scalar(
      dependsOnOutput: false,
      sites: [
        SitePattern("\(place).\(concepts.stream).attentionOutput"), SitePattern("\(place).image.attentionOutput"),
      ],
      value: { readings in
        vectors(readings).reduce(0) { sum, pair in
          sum + head.value(Tensor.matmul(pair.concept.1, pair.image.1.transposed()))
        }
      },
      derivative: { readings in
        var result: [Site: Tensor] = [:]
        for ((site, concept), (imageSite, image)) in vectors(readings) {
          let slope = head.derivative(Tensor.matmul(concept, image.transposed()))
          guard let heads = readings.sites[site]?.shape[1] else { continue }
          result[imageSite] = Tensor.matmul(slope.transposed(), concept).splitHeads(heads)
          result[site] = set.shared(Tensor.matmul(slope, image)).splitHeads(heads)
        }
        return Readings(sites: result)
      })
  }
}

extension ConceptSet {
  /// The mean of every concept's tokens.
  ///
  /// - Parameter x: `[batch, tokens of the stream, dim]`
  /// - Returns: `[batch, concepts, dim]`
  fileprivate func conceptMeans(_ x: Tensor) -> Tensor {
    x.narrow(1, from: leadingTokens, count: tokensPerConcept * names.count)
      .unflattened(1, tokensPerConcept, names.count).mean(1)
  }

  /// The way back through `conceptMeans`.
  fileprivate func shared(_ gradient: Tensor) -> Tensor {
    let share = gradient / Float(tokensPerConcept)
    return concatenated([Tensor](repeating: share, count: tokensPerConcept), axis: 1)
      .padded(1, before: leadingTokens)
  }
}
