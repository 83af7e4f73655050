import Tensor
import TestSupport
import Testing

func checkLinear(_ golden: GoldenCase) throws {
  let inputs = try golden.inputs()
  let x = try #require(inputs["x"]), weight = try #require(inputs["weight"])
  try expectOutputs(golden, ["y": .linear(x, weight: weight, bias: inputs["bias"])])
}

func checkConvolution(_ golden: GoldenCase, axes: Int) throws {
  let inputs = try golden.inputs()
  let x = try #require(inputs["x"]), weight = try #require(inputs["weight"])
  func perAxis(_ value: JSON) -> [Int] { value.int.map { [Int](repeating: $0, count: axes) } ?? value.ints }
  let padding = perAxis(golden.config.padding)
  // pre_pad is (left, right, top, bottom), as torch.nn.functional.pad takes it.
  let extra = golden.config.pre_pad.isNull ? [0, 0, 0, 0] : golden.config.pre_pad.ints
  let before = axes == 2 ? [padding[0] + extra[2], padding[1] + extra[0]] : padding
  let after = axes == 2 ? [padding[0] + extra[3], padding[1] + extra[1]] : padding
  let convolve = axes == 2 ? Tensor.conv2d : Tensor.conv3d
  let y = convolve(
    x, weight, inputs["bias"], PerAxis(perAxis(golden.config.stride)), PerAxis(before), PerAxis(after), 1, 1, .identity,
    nil)
  try expectOutputs(golden, ["y": y])
}
