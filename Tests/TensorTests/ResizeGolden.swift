import Tensor
import TestSupport
import Testing

func checkTorchResize(_ golden: GoldenCase) throws {
  let x = try #require(golden.inputs()["x"]), size = try targetSize(golden)
  let mode = try #require(ResizeMode(rawValue: golden.config.mode.string ?? ""))
  let y = x.resized(
    height: size.height, width: size.width, mode: mode, antialias: golden.config.antialias.bool ?? false,
    alignCorners: golden.config.align_corners.bool ?? false)
  try expectOutputs(golden, ["y": y])
}

func checkPillowResize(_ golden: GoldenCase) throws {
  let image = try #require(golden.inputs()["image_u8"]), size = try targetSize(golden)
  let filter = try #require(ImageFilter(rawValue: golden.config.mode.string ?? ""))
  try expectOutputs(
    golden, ["image_u8": image.resizedImage(height: size.height, width: size.width, filter: filter)])
}

private func targetSize(_ golden: GoldenCase) throws -> (height: Int, width: Int) {
  (try #require(golden.config.size[0].int), try #require(golden.config.size[1].int))
}
