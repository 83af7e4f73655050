import Glibc
import Tensor

/// A fixed table of sines and cosines for a square grid: half of the channels tell the column, half the row.
///
/// Source: diffusers `get_2d_sincos_pos_embed` (the column goes first there).
///
/// - Parameter baseSize: rows of the grid the frequencies are made for; positions are scaled by `baseSize / gridSize`
/// - Returns: `[gridSize * gridSize, dim]`
public func sinCosPositions2D(dim: Int, gridSize: Int, baseSize: Int) -> Tensor {
  let positions = (0..<gridSize).map { Float($0) / (Float(gridSize) / Float(baseSize)) }
  return sinCosGrid(dim: dim, rows: positions, columns: positions)
}

/// A fixed table for video: a quarter of the channels tells the frame, the rest column and row.
///
/// Source: diffusers `get_3d_sincos_pos_embed` (CogVideoX-2B).
///
/// - Returns: `[frames, height * width, dim]`
public func sinCosPositions3D(
  dim: Int, height: Int, width: Int, frames: Int, spatialScale: Float, temporalScale: Float
) -> Tensor {
  let spatial = sinCosGrid(
    dim: 3 * dim / 4, rows: (0..<height).map { Float($0) / spatialScale },
    columns: (0..<width).map { Float($0) / spatialScale })
  let temporal = sinCosPositions1D(dim: dim / 4, (0..<frames).map { Float($0) / temporalScale })
  let tokens = height * width
  return concatenated(
    [
      temporal.unsqueezed(1).broadcast(to: [frames, tokens, dim / 4]),
      spatial.unsqueezed(0).broadcast(to: [frames, tokens, 3 * dim / 4]),
    ], axis: -1)
}

/// - Returns: `[rows * columns, dim]`, column channels first
private func sinCosGrid(dim: Int, rows: [Float], columns: [Float]) -> Tensor {
  let shape = [rows.count, columns.count, dim / 2]
  let byColumn = sinCosPositions1D(dim: dim / 2, columns).unsqueezed(0).broadcast(to: shape)
  let byRow = sinCosPositions1D(dim: dim / 2, rows).unsqueezed(1).broadcast(to: shape)
  return concatenated([byColumn, byRow], axis: -1).flattened(from: 0, to: 1)
}

/// - Returns: `[positions, dim]`, sines then cosines, computed in double precision
private func sinCosPositions1D(dim: Int, _ positions: [Float]) -> Tensor {
  let half = dim / 2
  let omega = (0..<half).map { 1 / pow(10000, Double($0) / (Double(dim) / 2)) }
  var values: [Float] = []
  for position in positions {
    let angles = omega.map { Double(position) * $0 }
    values += angles.map { Float(sin($0)) } + angles.map { Float(cos($0)) }
  }
  return Tensor(values, shape: [positions.count, dim])
}
