import ConceptAttention
import NN
import Tensor

/// Takes edges of chosen image tokens out of every attention, others in every pass, and says how far the model's
/// prediction moves.
///
/// Edges leave the softmax, which shares their weight out among the others: as with a padded token, nothing is shown that
/// the model has not been trained on. A pass without a cut runs as if nobody were there, to the bit.
package final class EdgeCut: AttentionProcessor {
  /// Which edges a chosen token loses.
  package enum Edges: String, Sendable, Codable, CaseIterable {
    /// Its sight of the concept's words in the prompt.
    case word
    /// Everybody's sight of it.
    case tokens
  }

  package struct Cut {
    let edges: Edges
    /// Of image tokens, those that lose edges.
    let isChosen: [Bool]

    package init(edges: Edges, isChosen: [Bool]) {
      self.edges = edges
      self.isChosen = isChosen
    }
  }

  /// By pass; nil where nothing is cut.
  private let cuts: [Cut?]
  /// Positions of the concept's words in the text stream.
  private let words: [Int]
  private var lastMasks: (pass: Int, image: Tensor, text: Tensor)?
  private var whole: Tensor?
  /// By pass, the root mean square of the difference to the prediction of pass 0.
  package private(set) var changes: [Double] = []

  /// - Parameter cuts: of the passes of a run, the first of which cuts nothing
  package init(_ cuts: [Cut?], words: [Int]) {
    self.cuts = cuts
    self.words = words
  }

  package func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    (whole, lastMasks, changes) = (nil, nil, [])
    hooks.attend("*", attend)
    let hasDual = model.blocks.contains { model.points(of: .image, in: $0).contains(.dualAttentionOutput) }
    if hasDual, cuts.contains(where: { $0?.edges == .tokens }) { hooks.attend("*", part: .dual, attend) }
    guard let last = model.blocks.last else { return }
    hooks.readOut(BlockPattern("\(last)")) { output, _, _ in
      self.changes.append(self.whole.map { rootMeanSquare(output.prediction - $0) } ?? 0)
      if self.whole == nil { self.whole = output.prediction }
    }
  }

  private func attend(
    _ call: AttentionCall, _ pass: Pass, _ next: (AttentionCall) -> [Tensor]
  ) -> [Tensor] {
    guard cuts.indices.contains(pass.step), let cut = cuts[pass.step] else { return next(call) }
    var call = call
    let sources = Set(call.sources.map(\.stream))
    switch cut.edges {
    case .word:
      guard call.queries.contains(where: { $0.stream == .image }),
        let text = call.sources.first(where: { $0.stream == .text })
      else { return next(call) }
      let (image, words) = masks(cut, pass.step, textTokens: text.key.shape[2])
      call.forbid(image.transposed().logicalAnd(words), query: .image, key: .text)
    case .tokens:
      guard sources.contains(.image) else { return next(call) }
      let (image, _) = masks(cut, pass.step, textTokens: 1)
      for query in call.queries { call.forbid(image, query: query.stream, key: .image) }
    }
    return next(call)
  }

  /// `bool`, of chosen image tokens and of the words, `[1, 1, 1, tokens]`.
  private func masks(_ cut: Cut, _ pass: Int, textTokens: Int) -> (image: Tensor, words: Tensor) {
    if let last = lastMasks, last.pass == pass, last.text.shape[3] == textTokens { return (last.image, last.text) }
    let words = Set(words)
    let image = Tensor(scalars: cut.isChosen, shape: [1, 1, 1, cut.isChosen.count])
    let text = Tensor(scalars: (0..<textTokens).map(words.contains), shape: [1, 1, 1, textTokens])
    lastMasks = (pass, image, text)
    return (image, text)
  }
}

func rootMeanSquare(_ tensor: Tensor) -> Double {
  let values = tensor.floats
  return (values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(values.count, 1))).squareRoot()
}
