import CKernels

/// Scale and shift of a coarser grid for a group norm over video: `y = normalised * scale + shift`, every element of the
/// grid standing for the block of positions that nearest-neighbour interpolation would give its value to.
///
/// The interpolated grids are never made: they would be as large as what is normalised.
public struct GroupModulation: Sendable {
  /// `[batch, channels, frames, height, width]`
  public var scale, shift: Tensor
  /// For every frame of what is normalised, the frame of `scale` and `shift` that it takes.
  public var frames: [Int]

  public init(scale: Tensor, shift: Tensor, frames: [Int]) {
    self.scale = scale
    self.shift = shift
    self.frames = frames
  }

  /// Checks the shapes against `x` and hands the kernel's view of them to `body`.
  func withTerms(for x: Tensor, _ body: (UnsafePointer<ck_group_modulation>?) -> Bool) -> Bool {
    guard scale.rank == 5, scale.shape == shift.shape, x.rank == 5, x.shape[0] == scale.shape[0],
      x.shape[1] == scale.shape[1], frames.count == x.shape[2], frames.allSatisfy((0..<scale.shape[2]).contains),
      zip(x.shape[3...], scale.shape[3...]).allSatisfy({ $1 > 0 && $0 % $1 == 0 })
    else {
      tensorFailure(
        "groupNorm: modulation of shapes \(scale.shape) and \(shift.shape), frames \(frames), for input \(x.shape)")
    }
    let height = x.shape[3], coarseHeight = scale.shape[3]
    let rows = frames.flatMap { frame in
      (0..<height).map { frame * coarseHeight + $0 / (height / coarseHeight) }
    }
    let scale = scale.converted(to: .f32).aligned(), shift = shift.converted(to: .f32).aligned()
    return withExtendedLifetime((scale, shift)) {
      rows.withUnsafeBufferPointer { rows in
        var terms = ck_group_modulation(
          scale: scale.rawPointer.assumingMemoryBound(to: Float.self),
          shift: shift.rawPointer.assumingMemoryBound(to: Float.self), rows: rows.count, columns: x.shape[4],
          coarse_rows: scale.shape[2] * coarseHeight, coarse_columns: scale.shape[4],
          repeat: x.shape[4] / scale.shape[4], coarse_row: rows.baseAddress)
        return body(&terms)
      }
    }
  }
}
