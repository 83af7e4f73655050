import Tensor
import TestSupport
import Testing

func checkActivations(_ golden: GoldenCase) throws {
  let x = try #require(golden.inputs()["x"])
  try expectOutputs(
    golden,
    [
      "gelu_erf": x.gelu(), "gelu_tanh": x.gelu(.tanh), "silu": x.silu(), "quick_gelu": x.quickGELU(),
      "sigmoid": x.sigmoid(), "tanh": x.tanh(), "softmax_last": x.softmax(), "exp": x.clamped(min: -20, max: 20).exp(),
    ])
}

func checkLayerNorm(_ golden: GoldenCase) throws {
  let inputs = try golden.inputs(), x = try #require(inputs["x"])
  let epsilon = Float(try #require(golden.config.eps.double))
  try expectOutputs(golden, ["y": x.layerNorm(weight: inputs["weight"], bias: inputs["bias"], epsilon: epsilon)])
}

func checkRMSNorm(_ golden: GoldenCase) throws {
  let inputs = try golden.inputs(), x = try #require(inputs["x"])
  let epsilon = Float(try #require(golden.config.eps.double))
  try expectOutputs(golden, ["y": x.rmsNorm(weight: inputs["weight"], epsilon: epsilon)])
}

func checkGroupNorm(_ golden: GoldenCase) throws {
  let inputs = try golden.inputs(), x = try #require(inputs["x"])
  let epsilon = Float(try #require(golden.config.eps.double)), groups = try #require(golden.config.groups.int)
  let y = x.groupNorm(groups: groups, weight: inputs["weight"], bias: inputs["bias"], epsilon: epsilon)
  try expectOutputs(golden, ["y": y])
}

/// The rotation by the case's own tables; where those come from is not this module's.
func checkRotary(_ golden: GoldenCase, tokenAxis: Int) throws {
  let outputs = try golden.outputs(), q = try #require(golden.inputs()["q"])
  let cosine = try #require(outputs["cos"]), sine = try #require(outputs["sin"])
  let view = tokenAxis == 1 ? q.transposed(1, 2) : q  // [batch, heads, tokens, headDim]
  var inPlace = q.copied()
  if tokenAxis == 1 { inPlace = inPlace.transposed(1, 2) }
  inPlace.applyRotary(cos: cosine, sin: sine)
  for rotated in [view.applyingRotary(cos: cosine, sin: sine), inPlace] {
    let expected = try #require(outputs["q_rot"])
    expectClose(tokenAxis == 1 ? rotated.transposed(1, 2) : rotated, expected, golden.tolerance, golden.name)
  }
}
