import Glibc

extension Tensor {
  /// The windows a convolution sees, as columns (im2col): `torch.nn.functional.unfold`, for any number of spatial axes.
  ///
  /// - Parameters:
  ///   - kernel: extent of the window on each spatial axis
  ///   - stride: per spatial axis; 1 unless given
  ///   - padding: zeros on both sides, per spatial axis; none unless given
  ///   - dilation: per spatial axis; 1 unless given
  /// - Returns: `[batch, channels * kernel positions, windows]` for `[batch, channels, spatial…]`; without the batch
  ///   axis when this tensor has none
  public func unfolded(
    kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, dilation: [Int]? = nil
  ) -> Tensor {
    let spatial = kernel.count
    guard spatial > 0, rank == spatial + 1 || rank == spatial + 2 else {
      tensorFailure("unfolded: kernel \(kernel) does not fit shape \(shape)")
    }
    guard rank == spatial + 2 else {
      return unsqueezed(0)
        .unfolded(kernel: kernel, stride: stride, padding: padding, dilation: dilation).squeezed(0)
    }
    let windows = WindowGrid("unfolded", Array(shape[2...]), kernel, stride, padding, dilation)
    let result = Tensor(uninitialized: [shape[0], shape[1] * windows.taps, windows.count], dtype: dtype)
    let target = result.storage.base
    withExtendedLifetime(self) {
      switch dtype.size {
      case 1: unfold(UInt8.self, into: target, windows)
      case 2: unfold(UInt16.self, into: target, windows)
      case 4: unfold(UInt32.self, into: target, windows)
      default: unfold(UInt64.self, into: target, windows)
      }
    }
    return result
  }

  /// Columns added back to the places they came from: `torch.nn.functional.fold`, the adjoint of `unfolded`.
  ///
  /// Sums of narrow floats run in `f32` and are rounded once.
  ///
  /// - Parameter extents: the spatial extents of the result
  /// - Returns: `[batch, channels, extents…]` for `[batch, channels * kernel positions, windows]`; without the batch
  ///   axis when this tensor has none
  public func folded(
    to extents: [Int], kernel: [Int], stride: [Int]? = nil, padding: [Int]? = nil, dilation: [Int]? = nil
  ) -> Tensor {
    if rank == 2 {
      return unsqueezed(0)
        .folded(to: extents, kernel: kernel, stride: stride, padding: padding, dilation: dilation).squeezed(0)
    }
    let windows = WindowGrid("folded", extents, kernel, stride, padding, dilation)
    guard dtype.isFloatingPoint, rank == 3, shape[1] % windows.taps == 0, shape[2] == windows.count else {
      tensorFailure(
        "folded: shape \(shape) of \(dtype) is not [batch, channels * \(windows.taps), \(windows.count)] floats, "
          + "the windows \(kernel) of \(extents)")
    }
    switch dtype {
    case .f32: return folded(Float.self, windows)
    case .f64: return folded(Double.self, windows)
    default:
      return converted(to: .f32)
        .folded(to: extents, kernel: kernel, stride: stride, padding: padding, dilation: dilation).converted(to: dtype)
    }
  }

  /// One result row per channel and kernel position, split over threads.
  private func unfold<Word: FixedWidthInteger & BitwiseCopyable>(
    _ type: Word.Type, into base: UnsafeMutableRawPointer, _ windows: WindowGrid
  ) {
    let size = MemoryLayout<Word>.size, origin = rawPointer, width = windows.width, step = strides[rank - 1]
    guard windows.count > 0 else { return }
    let target = base.assumingMemoryBound(to: Word.self), spatialStrides = Array(strides[2...])
    parallelFor(shape[0] * shape[1] * windows.taps, grain: max(1, 16384 / windows.count)) { rows in
      for row in rows {
        let plane = row / windows.taps
        let from = origin + (plane / shape[1] * strides[0] + plane % shape[1] * strides[1]) * size
        windows.forEachRun(tap: row % windows.taps, spatialStrides) { window, inside, offset in
          let to = target + row * windows.count + window
          to.update(repeating: 0, count: inside.lowerBound)
          (to + inside.upperBound).update(repeating: 0, count: width - inside.upperBound)
          let source = from + offset * size, apart = step * windows.lastStride
          if apart == 1 {
            memcpy(to + inside.lowerBound, source, inside.count * size)
          } else {
            for i in 0..<inside.count {
              to[inside.lowerBound + i] = (source + i * apart * size).loadUnaligned(as: Word.self)
            }
          }
        }
      }
    }
  }

  /// One thread per plane of the result, so that no two add to one place.
  private func folded<Scalar: TensorScalar & BinaryFloatingPoint>(
    _ type: Scalar.Type, _ windows: WindowGrid
  ) -> Tensor {
    let channels = shape[1] / windows.taps
    var result = Tensor(zeros: [shape[0], channels] + windows.extents, dtype: dtype)
    let target = result.freshPointer(as: Scalar.self), size = MemoryLayout<Scalar>.size, origin = rawPointer
    let plane = windows.extents.reduce(1, *), planeStrides = Tensor.contiguousStrides(windows.extents)
    let work = max(1, windows.taps * windows.count)
    withExtendedLifetime(self) {
      parallelFor(shape[0] * channels, grain: max(1, 16384 / work)) { planes in
        for index in planes {
          for tap in 0..<windows.taps {
            let row = index % channels * windows.taps + tap
            let from = origin + (index / channels * strides[0] + row * strides[1]) * size
            windows.forEachRun(tap: tap, planeStrides) { window, inside, offset in
              let to = target + index * plane + offset, source = from + (window + inside.lowerBound) * strides[2] * size
              for i in 0..<inside.count {
                to[i * windows.lastStride] += (source + i * strides[2] * size).loadUnaligned(as: Scalar.self)
              }
            }
          }
        }
      }
    }
    return result
  }
}

/// Windows of a kernel over spatial axes: which source position each kernel position ("tap") sees in each window.
private struct WindowGrid {
  let extents: [Int], kernel: [Int], stride: [Int], padding: [Int], dilation: [Int]
  /// Windows along each spatial axis.
  let grid: [Int]

  var taps: Int { kernel.reduce(1, *) }
  var count: Int { grid.reduce(1, *) }
  var width: Int { grid[grid.count - 1] }
  var lastStride: Int { stride[stride.count - 1] }

  init(
    _ operation: String, _ extents: [Int], _ kernel: [Int], _ stride: [Int]?, _ padding: [Int]?, _ dilation: [Int]?
  ) {
    let ones = [Int](repeating: 1, count: kernel.count), stride = stride ?? ones, dilation = dilation ?? ones
    let padding = padding ?? ones.map { _ in 0 }
    let lengths = [extents.count, stride.count, padding.count, dilation.count]
    guard !kernel.isEmpty, lengths.allSatisfy({ $0 == kernel.count }),
      (kernel + stride + dilation).allSatisfy({ $0 > 0 }), (padding + extents).allSatisfy({ $0 >= 0 })
    else {
      tensorFailure(
        "\(operation): kernel \(kernel), stride \(stride), padding \(padding), dilation \(dilation) for \(extents)")
    }
    let room = kernel.indices.map { extents[$0] + 2 * padding[$0] - dilation[$0] * (kernel[$0] - 1) - 1 }
    guard room.allSatisfy({ $0 >= 0 }) else {
      tensorFailure(
        "\(operation): kernel \(kernel), dilation \(dilation) is larger than \(extents) with padding \(padding)")
    }
    grid = kernel.indices.map { room[$0] / stride[$0] + 1 }
    (self.extents, self.kernel, self.stride, self.padding, self.dilation) = (extents, kernel, stride, padding, dilation)
  }

  /// Calls `body` once per row of windows along the last axis: the first window's number, the windows of the row whose
  /// tap lies inside the source, and the source offset of the first of these.
  func forEachRun(tap: Int, _ strides: [Int], _ body: (_ window: Int, _ inside: Range<Int>, _ offset: Int) -> Void) {
    let last = grid.count - 1
    var shifts = [Int](repeating: 0, count: grid.count), rest = tap
    for axis in kernel.indices.reversed() {
      shifts[axis] = rest % kernel[axis] * dilation[axis] - padding[axis]
      rest /= kernel[axis]
    }
    // Windows w of the last axis with 0 <= w * stride + shift < extent.
    let lower = min(width, max(0, (stride[last] - 1 - shifts[last]) / stride[last]))
    let room = extents[last] - shifts[last]
    let upper = room <= 0 ? lower : max(lower, min(width, (room - 1) / stride[last] + 1))
    for row in 0..<count / max(1, width) {
      var rest = row, offset = 0, isInside = true
      for axis in (0..<last).reversed() {
        let position = rest % grid[axis] * stride[axis] + shifts[axis]
        rest /= grid[axis]
        isInside = isInside && position >= 0 && position < extents[axis]
        offset += position * strides[axis]
      }
      offset += (lower * stride[last] + shifts[last]) * strides[last]
      body(row * width, isInside && lower < upper ? lower..<upper : 0..<0, offset)
    }
  }
}
