import Models
import NN
import Tensor

/// How much image tokens look at a word, averaged over heads, blocks and steps.
final class MyDAAM: AttentionProcessor {
  let tokens: [Int]
  private var sum: Tensor?
  private var count: Float = 0

  init(_ tokens: [Int]) { self.tokens = tokens }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    (sum, count) = (nil, 0)
    hooks.observe("*") { block, pass in
      guard let text = block.columns(of: .text, readBy: .image) else { return }
      let weights = block.probabilities(query: .image, columns: text)  // [batch, heads, imageTokens, textTokens]
      let map = weights.take(3, self.tokens).mean(1, 3)
      self.sum = self.sum.map { $0 + map } ?? map
      self.count += 1
    }
  }

  /// `[batch, imageTokens]`
  var map: Tensor? { sum.map { $0 / count } }
}

func daam(_ pipeline: any DiffusionPipeline) throws -> Finding {
  let prompt = "a red star above a house"
  let tokens = try pipeline.tokens(of: "star", in: prompt, maxSequenceLength: nil).flatMap { Array($0) }
  let method = MyDAAM(tokens), plain = try pipeline.generate(request(prompt)).frames
  let looked = try pipeline.generate(request(prompt), processors: [method]).frames
  guard let map = method.map else { return Finding("DAAM", "no map", holds: false) }
  return Finding(
    "DAAM", "'star' has between \(map.amin().item) and \(map.amax().item) of the attention",
    holds: looked.isIdentical(to: plain) && map.amin().item >= 0 && map.amax().item <= 1)
}
