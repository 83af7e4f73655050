import ConceptAttention
import Models
import NN
import Tensor

/// Does a block's residual tell in which row of the picture a token is? A linear probe, fitted on some pictures and tried on
/// another.
func probe(_ pipeline: any DiffusionPipeline) throws -> Finding {
  func tokens(seed: UInt64) throws -> (x: Tensor, y: Tensor) {
    let site = "double.2.image.residualOutput", cache = ActivationCache("\(site)", in: PassFilter(steps: [0]))
    _ = try pipeline.generate(request("a boat on the sea", steps: 1, seed: seed), processors: [cache])
    guard let residual = cache[site, step: 0] else { throw HookError.neverFired(what: site, processor: "probe") }
    let x = residual[0], count = x.shape[0], side = 8
    let rows = Tensor((0..<count).map { Float($0 / side) / Float(side) }, shape: [count, 1])
    return (concatenated([x, Tensor(ones: [count, 1])], axis: 1), rows)
  }
  let training = try (1...6).map { try tokens(seed: $0) }, test = try tokens(seed: 7)
  let weights = try concatenated(training.map(\.x)).leastSquares(concatenated(training.map(\.y))).solution
  let rest = (Tensor.matmul(test.x, weights) - test.y).squared().sum(),
    spread = (test.y - test.y.mean()).squared().sum()
  let explained = 1 - (rest / spread).item
  return Finding("probe", "\(explained) of the row's variance is told by a linear probe", holds: explained > 0.5)
}
