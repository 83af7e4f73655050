import Models
import NN
import Tensor

/// Regional prompting: the left half of the picture does not see one word, the right half not another.
final class Regions: AttentionProcessor {
  /// Words that the left and the right half do not see.
  let hidden: (left: [Int], right: [Int])

  init(hiding hidden: (left: [Int], right: [Int])) { self.hidden = hidden }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    hooks.attend("*") { call, pass, next in
      guard let text = call.sources.first(where: { $0.stream == .text })?.key.shape[2] else { return next(call) }
      let grid = pass.grid
      var mask = Tensor(zeros: [grid.count, text])
      for token in 0..<grid.count {
        let isLeft = token % grid.width < grid.width / 2
        for word in isLeft ? self.hidden.left : self.hidden.right { mask[token, word] = Tensor(1) }
      }
      var call = call
      call.forbid(mask.greater(than: 0).reshaped(1, 1, grid.count, text), query: .image, key: .text)
      return next(call)
    }
  }
}

func regions(_ pipeline: any DiffusionPipeline) throws -> Finding {
  let prompt = "a red star above a house"
  func words(_ text: String) throws -> [Int] {
    try pipeline.tokens(of: text, in: prompt, maxSequenceLength: nil).flatMap { Array($0) }
  }
  let star = try words("star"), maps = MyDAAM(star)
  let regions = Regions(hiding: (left: star, right: try words("house")))
  _ = try pipeline.generate(request(prompt), processors: [regions, maps])
  guard let map = maps.map?.reshaped(8, 8) else { return Finding("regions", "no map", holds: false) }
  // What is observed is what the masks left.
  return Finding(
    "regions", "the left half gives 'star' \(map[.all, ..<4].sum().item), the right half \(map[.all, 4...].sum().item)",
    holds: map[.all, ..<4].sum().item == 0 && map[.all, 4...].amin().item > 0)
}
