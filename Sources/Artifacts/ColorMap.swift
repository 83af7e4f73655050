// Colours for the values of a map.

import Tensor

/// The colour maps of heatmaps and overlays, with matplotlib's colours.
public enum ColorMap: String, CaseIterable, Sendable, Codable {
  case viridis, plasma, inferno, magma, turbo, gray

  /// A map as a picture.
  ///
  /// The range is cut into 256 equal parts, as matplotlib does; values outside take the colours of the ends, and values
  /// that are no numbers, as well as all values of an empty range, that of the lower end.
  ///
  /// - Parameter map: `[height, width]`
  /// - Returns: `u8`, `[height, width, 3]`
  public func callAsFunction(_ map: Tensor, range: ClosedRange<Float>) -> Tensor {
    guard map.rank == 2 else { tensorFailure("ColorMap: shape \(map.shape), expected [height, width]") }
    let colors = self.colors
    let extent = range.upperBound - range.lowerBound
    let scale = extent > 0 ? 256 / extent : 0
    var bytes: [UInt8] = []
    bytes.reserveCapacity(map.count * 3)
    for value in map.floats {
      let level = (value - range.lowerBound) * scale
      let entry = level > 0 ? Int(min(level, 255)) : 0
      bytes.append(contentsOf: colors[entry * 3..<entry * 3 + 3])
    }
    return Tensor(scalars: bytes, shape: map.shape + [3])
  }

  /// 256 entries of red, green and blue.
  package var colors: [UInt8] {
    guard let hexadecimal else { return (0..<256).flatMap { [UInt8](repeating: UInt8($0), count: 3) } }
    let digits = hexadecimal.utf8.map { $0 < UInt8(ascii: "a") ? $0 - UInt8(ascii: "0") : $0 - UInt8(ascii: "a") + 10 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

/// Which values take the ends of a colour map.
public enum MapScaling: String, CaseIterable, Sendable, Codable {
  /// The smallest and largest of each concept's map: shows where a concept is strongest.
  case perConcept
  /// The smallest and largest of all concepts' maps: shows which concept is stronger.
  case shared
}
