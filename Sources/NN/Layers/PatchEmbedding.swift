import Tensor

/// Cuts latents into patches, projects them, and adds a sine-cosine table cropped around its centre.
///
/// Source: diffusers `PatchEmbed` with `pos_embed_max_size` (Stable Diffusion 3).
public struct PatchEmbedding: Sendable {
  public var projection: Conv2d
  /// `[maxSize * maxSize, dim]`, as the checkpoint has it: large, and used in part.
  public var positions: Tensor
  public var maxSize: Int
  public var patchSize: Int

  /// - Parameters:
  ///   - sampleSize: latent height (and width) the table's unit is made for
  ///   - maxSize: rows and columns of the table
  public init(channels: Int, dim: Int, patchSize: Int, sampleSize: Int, maxSize: Int, _ w: Weights) {
    projection = Conv2d(channels, dim, kernel: patchSize, stride: patchSize, w["proj"])
    self.maxSize = maxSize
    self.patchSize = patchSize
    // Checkpoints carry the table; a checkpoint without it means the computed one, unless it is no such checkpoint.
    if w.contains("pos_embed") {
      positions = w.tensor("pos_embed", 1, maxSize * maxSize, dim).squeezed(0)
    } else if w.isComplete {
      positions = sinCosPositions2D(dim: dim, gridSize: maxSize, baseSize: sampleSize / patchSize)
    } else {
      positions = Tensor(zeros: [0, 0])
    }
  }

  /// - Parameter latents: `[batch, channels, height, width]`
  /// - Returns: `[batch, (height / patch) * (width / patch), dim]`
  public func callAsFunction(_ latents: Tensor) -> Tensor {
    let patches = projection(latents)
    let tokens = patches.flattened(from: 2).transposed()
    return tokens + croppedPositions(height: patches.shape[2], width: patches.shape[3])
  }

  /// The part of the table for a grid of patches, `[height * width, dim]`, `f32`.
  public func croppedPositions(height: Int, width: Int) -> Tensor {
    guard height <= maxSize, width <= maxSize else {
      tensorFailure("PatchEmbedding: a grid of \(height) × \(width) patches, the table has \(maxSize) × \(maxSize)")
    }
    let top = (maxSize - height) / 2, left = (maxSize - width) / 2
    let table = positions.unflattened(0, maxSize, maxSize)
    return table[top..<(top + height), left..<(left + width)].converted(to: .f32).flattened(from: 0, to: 1)
  }
}
