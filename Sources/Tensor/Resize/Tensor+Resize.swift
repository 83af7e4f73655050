import Glibc

/// How `resized` finds the values between those it has; the names are those of `torch.nn.functional.interpolate`.
public enum ResizeMode: String, Sendable, CaseIterable {
  /// The value at the floor of the source position, as older code expects it.
  case nearest
  /// The value nearest to the centre of the target position.
  case nearestExact = "nearest-exact"
  case bilinear
  case bicubic
}

extension Tensor {
  /// The last two axes resized, as `torch.nn.functional.interpolate` resizes them. One case differs: to width 1 with
  /// `antialias`, PyTorch 2.13 repeats the first row in every row.
  ///
  /// - Parameters:
  ///   - height: positive
  ///   - width: positive
  ///   - antialias: stretch the filter when the picture shrinks (bilinear and bicubic only)
  ///   - alignCorners: whether the centres of the corner pixels, and not the outer edges, keep their place (bilinear
  ///     and bicubic only)
  /// - Returns: `[…, height, width]` of the same dtype (`f32`, or `f16` and `bf16` computed in `f32`; `nearest` and
  ///   `nearestExact` accept every dtype)
  public func resized(
    height: Int, width: Int, mode: ResizeMode, antialias: Bool = false, alignCorners: Bool = false
  ) -> Tensor {
    guard rank >= 2, shape[rank - 2] > 0, shape[rank - 1] > 0, height > 0, width > 0 else {
      tensorFailure("resized: shape \(shape) to height \(height) and width \(width)")
    }
    let isNearest = mode == .nearest || mode == .nearestExact
    guard !isNearest || !antialias && !alignCorners else {
      tensorFailure("resized: mode \(mode.rawValue) takes neither antialias nor alignCorners")
    }
    let rows = ResizeTaps<Float>(
      from: shape[rank - 2], to: height, mode: mode, antialias: antialias, alignCorners: alignCorners)
    let columns = ResizeTaps<Float>(
      from: shape[rank - 1], to: width, mode: mode, antialias: antialias, alignCorners: alignCorners)
    if isNearest { return picked(rows.starts, columns.starts) }
    switch dtype {
    case .f32: return filteredRows(columns).filteredColumns(rows)
    case .f16, .bf16: return converted(to: .f32).filteredRows(columns).filteredColumns(rows).converted(to: dtype)
    default: tensorFailure("resized: mode \(mode.rawValue) of \(dtype), shape \(shape): needs f32, f16 or bf16")
    }
  }

  /// The elements at the given rows and columns of the last two axes.
  func picked(_ rows: [Int], _ columns: [Int]) -> Tensor {
    let height = shape[rank - 2], width = shape[rank - 1], packed = contiguous()
    let result = Tensor(uninitialized: shape.dropLast(2) + [rows.count, columns.count], dtype: dtype)
    let source = packed.rawPointer, target = UnsafeMutableRawPointer(mutating: result.rawPointer)
    func pick<Word: BitwiseCopyable>(_ type: Word.Type) {
      let size = MemoryLayout<Word>.size
      parallelFor(result.count / columns.count, grain: max(1, 16384 / columns.count)) { range in
        for row in range {
          let from = source + (row / rows.count * height + rows[row % rows.count]) * width * size
          let to = target + row * columns.count * size
          for (place, column) in columns.enumerated() {
            let word = from.loadUnaligned(fromByteOffset: column * size, as: Word.self)
            to.storeBytes(of: word, toByteOffset: place * size, as: Word.self)
          }
        }
      }
    }
    withExtendedLifetime(packed) {
      switch dtype.size {
      case 1: pick(UInt8.self)
      case 2: pick(UInt16.self)
      case 4: pick(UInt32.self)
      default: pick(UInt64.self)
      }
    }
    return result
  }

  /// Every row (the last axis) through the taps.
  private func filteredRows(_ taps: ResizeTaps<Float>) -> Tensor {
    let width = shape[rank - 1]
    if taps.isIdentity(width) { return self }
    let packed = aligned()
    var result = Tensor(uninitialized: shape.dropLast() + [taps.count])
    let source = packed.rawPointer.assumingMemoryBound(to: Float.self)
    let target = result.freshPointer(as: Float.self), rows = packed.count / width
    withExtendedLifetime(packed) {
      parallelFor(rows, grain: max(1, 8192 / taps.count)) { range in
        taps.withBuffers { starts, counts, weights in
          for row in range {
            let from = source + row * width, to = target + row * taps.count
            for place in 0..<taps.count {
              let own = weights + place * taps.stride, first = from + starts[place]
              var sum = first[0] * own[0]
              for tap in 1..<max(1, counts[place]) { sum += first[tap] * own[tap] }
              to[place] = sum
            }
          }
        }
      }
    }
    return result
  }

  /// Every column (the axis before the last) through the taps.
  private func filteredColumns(_ taps: ResizeTaps<Float>) -> Tensor {
    let height = shape[rank - 2], width = shape[rank - 1]
    if taps.isIdentity(height) { return contiguous() }
    let packed = aligned()
    var result = Tensor(uninitialized: shape.dropLast(2) + [taps.count, width])
    let source = packed.rawPointer.assumingMemoryBound(to: Float.self), target = result.freshPointer(as: Float.self)
    withExtendedLifetime(packed) {
      parallelFor(result.count / width, grain: max(1, 8192 / width)) { range in
        taps.withBuffers { starts, counts, weights in
          for row in range {
            let place = row % taps.count, own = weights + place * taps.stride, to = target + row * width
            let from = source + (row / taps.count * height + starts[place]) * width
            for x in 0..<width { to[x] = from[x] * own[0] }
            for tap in 1..<max(1, counts[place]) {
              let line = from + tap * width, weight = own[tap]
              for x in 0..<width { to[x] += line[x] * weight }
            }
          }
        }
      }
    }
    return result
  }
}

extension ResizeTaps {
  /// Lends the tables without bounds checks.
  @inline(__always)
  func withBuffers(_ body: (UnsafePointer<Int>, UnsafePointer<Int>, UnsafePointer<Weight>) -> Void) {
    starts.withUnsafeBufferPointer { starts in
      counts.withUnsafeBufferPointer { counts in
        weights.withUnsafeBufferPointer { weights in
          guard let a = starts.baseAddress, let b = counts.baseAddress, let c = weights.baseAddress else { return }
          body(a, b, c)
        }
      }
    }
  }
}

extension ResizeTaps<Float> {
  /// Whether every position is made of itself alone.
  fileprivate func isIdentity(_ input: Int) -> Bool {
    guard input == count else { return false }
    return starts.indices.allSatisfy { place in
      (0..<counts[place]).allSatisfy { tap in
        weights[place * stride + tap] == (starts[place] + tap == place ? 1 : 0)
      }
    }
  }
}
