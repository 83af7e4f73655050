import Tensor

extension SaliencyMaps {
  /// All maps smoothed within their frames by a Gaussian of 3 × 3 tokens and σ = 1, mirrored at the edges.
  ///
  /// Source: `segmentation.py` of the authors' code, `torchvision.transforms.functional.gaussian_blur`.
  public func blurred() -> SaliencyMaps { mapValues(Self.blurred) }

  /// - Parameter map: `[batch, concepts, frames, height, width]`
  private static func blurred(_ map: Tensor) -> Tensor { blurred(blurred(map, axis: 3), axis: 4) }

  private static func blurred(_ map: Tensor, axis: Int) -> Tensor {
    let count = map.shape[axis]
    if count < 2 { return map }
    func part(_ from: Int, _ count: Int) -> Tensor { map.narrow(axis, from: from, count: count) }
    let before = concatenated([part(1, 1), part(0, count - 1)], axis: axis)
    let after = concatenated([part(1, count - 1), part(count - 2, 1)], axis: axis)
    return map * centreWeight + (before + after) * edgeWeight
  }

  /// `exp(-x² / 2)` at x = 0 and x = ±1, divided by their sum.
  private static let centreWeight: Float = 0.451_862_76
  private static let edgeWeight: Float = 0.274_068_62
}
