import Tensor
import TestSupport
import Testing

/// Attention of one query and one key stream, with the mask, causality or scale of the case.
func checkAttention(_ golden: GoldenCase) throws {
  let inputs = try golden.inputs()
  let query = try #require(inputs["q"]), key = try #require(inputs["k"]), value = try #require(inputs["v"])
  let mask = inputs["mask"], causal = golden.config.causal.bool ?? false, scale = golden.config.scale.float
  let y = scaledDotProductAttention(query: query, key: key, value: value, mask: mask, causal: causal, scale: scale)
  try expectOutputs(golden, ["y": y])
}
