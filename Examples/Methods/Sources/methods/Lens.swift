import Models
import NN
import Tensor

/// What would the picture be if the model ended after each block? Its own output layers give a prediction, which stands for
/// clean latents.
final class MyLens: AttentionProcessor {
  private(set) var clean: [(block: BlockID, latents: Tensor)] = []

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    clean = []
    hooks.readOut("*", in: PassFilter(steps: [1])) { output, block, pass in
      if let latents = output.clean { self.clean.append((block, latents)) }
    }
  }
}

func lens(_ pipeline: any DiffusionPipeline) throws -> Finding {
  let lens = MyLens()
  var last: Tensor?
  _ = try pipeline.generate(request("a red star above a house"), processors: [lens]) { last = $0.latents }
  // At the last step nothing is left to denoise: the last block's clean latents are where the run ends.
  guard let last, let final = lens.clean.last?.latents else { return Finding("lens", "nothing was seen", holds: false) }
  let distances = lens.clean.map { block, latents in "\(block) \((latents - last).squared().mean().squareRoot().item)" }
  return Finding(
    "lens", "distance to the end after each block: " + distances.joined(separator: ", "),
    holds: (final - last).absolute().amax().item < 1e-4)
}
