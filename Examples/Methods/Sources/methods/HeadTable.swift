import ConceptAttention
import Models
import NN
import Tensor

/// How much the latents change without each head of two blocks, replaced by its mean.
func headTable(_ pipeline: any DiffusionPipeline) throws -> Finding {
  let blocks = [BlockID("double", 0), BlockID("double", 2)]
  let table = try HeadAttribution.measure(on: pipeline.transformer, blocks: blocks) { processors in
    var latents = Tensor(0)
    _ = try pipeline.generate(request("a boat on the sea", steps: 1), processors: processors) { latents = $0.latents }
    return latents
  }
  guard let first = table.ranking.first else { return Finding("heads", "no head", holds: false) }
  return Finding(
    "heads",
    "of \(table.change.shape[0]) blocks of \(table.change.shape[1]) heads, \(first.block) head \(first.head) matters most",
    holds: table.change.amin().item > 0)
}
