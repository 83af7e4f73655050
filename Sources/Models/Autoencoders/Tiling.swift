import Tensor

/// Runs a transform on overlapping tiles of rows and columns, whose seams are faded over linearly: bounds the memory, and
/// changes the result slightly.
///
/// Source: diffusers `AutoencoderKL.tiled_decode`, `AutoencoderKLCogVideoX.tiled_decode`.
struct Tiling {
  /// Along one axis.
  struct Axis {
    /// The axis of the tensors.
    var index: Int
    /// Extent of a tile before and after the transform.
    var before, after: Int
    /// The share of a tile that the next one covers too.
    var overlap: Double
    /// What tiles begin at multiples of, before the transform.
    var multiple = 1

    var step: Int { max(multiple, Int(Double(before) * (1 - overlap)) / multiple * multiple) }
    var blend: Int { Int(Double(after) * overlap) }
    var kept: Int { after - blend }

    /// What is computed of an extent before the transform.
    func covered(_ extent: Int) -> Int {
      stride(from: 0, to: extent, by: step).reduce(0) { $0 + min(before, extent - $1) }
    }
  }

  var rows, columns: Axis

  func callAsFunction(_ input: Tensor, _ transform: (Tensor) -> Tensor) -> Tensor {
    var above: [Tensor] = []
    var bands: [Tensor] = []
    for strip in parts(of: input, rows) {
      var row: [Tensor] = []
      for part in parts(of: strip, columns) {
        var tile = transform(part)
        if !above.isEmpty { tile = blended(above[row.count], tile, rows) }
        if let before = row.last { tile = blended(before, tile, columns) }
        row.append(tile)
      }
      bands.append(concatenated(row.map { trimmed(trimmed($0, rows), columns) }, axis: columns.index))
      above = row
    }
    return concatenated(bands, axis: rows.index)
  }

  private func parts(of input: Tensor, _ axis: Axis) -> [Tensor] {
    let extent = input.shape[axis.index]
    return stride(from: 0, to: extent, by: axis.step).map {
      input.narrow(axis.index, from: $0, count: min(axis.before, extent - $0))
    }
  }

  private func trimmed(_ tile: Tensor, _ axis: Axis) -> Tensor {
    tile.narrow(axis.index, from: 0, count: min(axis.kept, tile.shape[axis.index]))
  }

  /// `tile` with its beginning faded over from the end of the tile before.
  private func blended(_ before: Tensor, _ tile: Tensor, _ axis: Axis) -> Tensor {
    let index = axis.index, extent = min(before.shape[index], tile.shape[index], axis.blend)
    if extent == 0 { return tile }
    var shape = [Int](repeating: 1, count: tile.rank)
    shape[index] = extent
    let weights = Tensor((0..<extent).map { Float($0) / Float(extent) }).reshaped(shape)
    let tail = before.narrow(index, from: before.shape[index] - extent, count: extent)
    let head = tile.narrow(index, from: 0, count: extent)
    let rest = tile.narrow(index, from: extent, count: tile.shape[index] - extent)
    return concatenated([tail * (1 - weights) + head * weights, rest], axis: index)
  }
}
