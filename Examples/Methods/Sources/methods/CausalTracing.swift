import ConceptAttention
import Models
import NN
import Tensor

/// Where does the prompt act? Text tokens of one prompt in place of another's, block by block: how far the picture moves from
/// the one to the other.
func causalTracing(_ pipeline: any DiffusionPipeline) throws -> Finding {
  let star = request("a red star above a house"), boat = request("a boat on the sea")
  func latents(_ request: GenerationRequest, _ processors: [any AttentionProcessor] = []) throws -> Tensor {
    var latents = Tensor(0)
    _ = try pipeline.generate(request, processors: processors) { latents = $0.latents }
    return latents
  }
  let cache = ActivationCache("double.*.text.residualInput")
  let source = try latents(boat, [cache]), target = try latents(star)
  let whole = (source - target).squared().sum().squareRoot().item
  let moved = try pipeline.transformer.blocks.filter { $0.family == "double" }.map { block in
    let patched = try latents(star, [ActivationPatch(from: cache, "\(block).text.residualInput")])
    return (patched - target).squared().sum().squareRoot().item / whole
  }
  return Finding(
    "tracing", "patched at the first block the picture moves by \(moved[0]), at the last by \(moved[moved.count - 1])",
    holds: moved[0] > moved[moved.count - 1])
}
