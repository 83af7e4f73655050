import Glibc
import Tensor

extension RotaryTable {
  /// How CogVideoX places a grid of video tokens on its frequencies.
  public enum CogVideoXGrid: Sendable {
    /// Positions spread evenly over a crop of the base grid (CogVideoX-5B). Corners are (row, column).
    case linspace(top: Float, left: Float, bottom: Float, right: Float)
    /// Positions 0, 1, 2, … (CogVideoX 1.5).
    case slice
  }

  /// CogVideoX: a quarter of the channels turns with the frame, three eighths with the row, three eighths with the
  /// column.
  ///
  /// Source: diffusers `get_3d_rotary_pos_embed`, which computes in single precision.
  ///
  /// - Returns: tables for `frames * height * width` tokens
  public static func cogVideoX(
    headDim: Int, frames: Int, height: Int, width: Int, grid: CogVideoXGrid, theta: Float = 10000
  ) -> RotaryTable {
    let time = angles(headDim / 4, (0..<frames).map(Float.init), theta)
    let rowAngles: [[Float]], columnAngles: [[Float]]
    switch grid {
    case .linspace(let top, let left, let bottom, let right):
      let rows = Tensor(linspace: top, bottom * Float(height - 1) / Float(height), count: height).floats
      let columns = Tensor(linspace: left, right * Float(width - 1) / Float(width), count: width).floats
      rowAngles = angles(headDim / 8 * 3, rows, theta)
      columnAngles = angles(headDim / 8 * 3, columns, theta)
    case .slice:
      rowAngles = angles(headDim / 8 * 3, (0..<height).map(Float.init), theta)
      columnAngles = angles(headDim / 8 * 3, (0..<width).map(Float.init), theta)
    }
    var all: [Float] = []
    for frame in 0..<frames {
      for row in 0..<height {
        for column in 0..<width { all += time[frame] + rowAngles[row] + columnAngles[column] }
      }
    }
    let shape = [frames * height * width, headDim]
    return RotaryTable(
      cos: Tensor(all.map { cosf($0) }, shape: shape), sin: Tensor(all.map { sinf($0) }, shape: shape))
  }

  /// Per position, the angle of every channel, neighbours in pairs.
  private static func angles(_ channels: Int, _ positions: [Float], _ theta: Float) -> [[Float]] {
    let frequencies = (0..<channels / 2).map { 1 / powf(theta, Float(2 * $0) / Float(channels)) }
    return positions.map { position in frequencies.flatMap { [position * $0, position * $0] } }
  }
}
