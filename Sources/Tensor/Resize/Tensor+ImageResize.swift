/// The resampling filters of Pillow's `Image.resize`, under its names.
public enum ImageFilter: String, Sendable, CaseIterable {
  case nearest, box, bilinear, hamming, bicubic, lanczos
}

extension Tensor {
  /// A picture `[height, width, channels]` resized exactly, bit by bit, as the `Image.resize` of Pillow 13 does it.
  ///
  /// Filters are stretched when the picture shrinks. Channels are treated alike: Pillow multiplies the colours of a
  /// picture with transparency by it before it resizes and divides after; do so first where it matters.
  ///
  /// - Parameters:
  ///   - height: positive
  ///   - width: positive
  /// - Returns: `[height, width, channels]`; `u8` is computed in whole numbers of 2^-22 and rounded to 8 bits between
  ///   the two passes, `f32` is Pillow's mode `F`
  public func resizedImage(height: Int, width: Int, filter: ImageFilter) -> Tensor {
    guard rank == 3, !shape.contains(0), height > 0, width > 0 else {
      tensorFailure("resizedImage: shape \(shape) to height \(height) and width \(width)")
    }
    guard dtype == .u8 || dtype == .f32 else {
      tensorFailure("resizedImage: dtype \(dtype) of shape \(shape) is neither u8 nor f32")
    }
    if filter == .nearest { return nearestImage(height, width) }
    let columns = ResizeTaps<Double>(from: shape[1], to: width, filter: filter)
    let rows = ResizeTaps<Double>(from: shape[0], to: height, filter: filter)
    return dtype == .u8
      ? filteredImage(rows.fixedPoint, columns.fixedPoint, ByteResampling.self)
      : filteredImage(rows, columns, FloatResampling.self)
  }

  /// Both passes; one whose size does not change is left out.
  private func filteredImage<Arithmetic: Resampling>(
    _ rows: ResizeTaps<Arithmetic.Sum>, _ columns: ResizeTaps<Arithmetic.Sum>, _ arithmetic: Arithmetic.Type
  ) -> Tensor {
    let height = shape[0], width = shape[1]
    // Since version 13 Pillow begins with the columns when that drops many more lines (its pull request 9549). The
    // order shows, because what lies between the passes is rounded to 8 bits.
    let columnsFirst = rows.count < height && height - rows.count > 2 * (width - columns.count)
    var result = contiguous()
    if columnsFirst { result = result.imageColumns(rows, arithmetic) }
    if columns.count != width { result = result.imageRows(columns, arithmetic) }
    if !columnsFirst, rows.count != height { result = result.imageColumns(rows, arithmetic) }
    return result
  }

  private func nearestImage(_ height: Int, _ width: Int) -> Tensor {
    let rows = Self.nearestPositions(shape[0], height), columns = Self.nearestPositions(shape[1], width)
    return permuted(2, 0, 1).picked(rows, columns).permuted(1, 2, 0).contiguous()
  }

  /// Pillow adds up the step, which rounds differently than a product.
  private static func nearestPositions(_ input: Int, _ output: Int) -> [Int] {
    let step = Double(input) / Double(output)
    var source = step * 0.5
    return (0..<output).map { _ in
      defer { source += step }
      return min(Int(source), input - 1)
    }
  }

  /// Every row of the picture through the taps.
  private func imageRows<Arithmetic: Resampling>(
    _ taps: ResizeTaps<Arithmetic.Sum>, _ arithmetic: Arithmetic.Type
  ) -> Tensor {
    let width = shape[1], channels = shape[2], packed = aligned()
    var result = Tensor(uninitialized: [shape[0], taps.count, channels], dtype: dtype)
    let source = packed.rawPointer.assumingMemoryBound(to: Arithmetic.Element.self)
    let target = result.freshPointer(as: Arithmetic.Element.self)
    withExtendedLifetime(packed) {
      parallelFor(shape[0], grain: max(1, 4096 / (taps.count * channels))) { range in
        taps.withBuffers { starts, counts, weights in
          for row in range {
            var to = target + row * taps.count * channels
            for place in 0..<taps.count {
              let from = source + (row * width + starts[place]) * channels
              Arithmetic.pixel(from, channels, weights + place * taps.stride, counts[place], to)
              to += channels
            }
          }
        }
      }
    }
    return result
  }

  /// Every column of the picture through the taps.
  private func imageColumns<Arithmetic: Resampling>(
    _ taps: ResizeTaps<Arithmetic.Sum>, _ arithmetic: Arithmetic.Type
  ) -> Tensor {
    let line = shape[1] * shape[2], packed = aligned()
    var result = Tensor(uninitialized: [taps.count, shape[1], shape[2]], dtype: dtype)
    let source = packed.rawPointer.assumingMemoryBound(to: Arithmetic.Element.self)
    let target = result.freshPointer(as: Arithmetic.Element.self)
    withExtendedLifetime(packed) {
      parallelFor(taps.count, grain: max(1, 4096 / line)) { range in
        taps.withBuffers { starts, counts, weights in
          withUnsafeTemporaryAllocation(of: Arithmetic.Sum.self, capacity: line) { sums in
            guard let sums = sums.baseAddress else { return }
            for row in range {
              sums.initialize(repeating: Arithmetic.start, count: line)
              for tap in 0..<counts[row] {
                let from = source + (starts[row] + tap) * line, weight = weights[row * taps.stride + tap]
                for place in 0..<line { sums[place] = Arithmetic.add(sums[place], from[place], weight) }
              }
              for place in 0..<line { target[row * line + place] = Arithmetic.finish(sums[place]) }
            }
          }
        }
      }
    }
    return result
  }
}

/// The arithmetic of one kind of picture.
private protocol Resampling {
  associatedtype Element: TensorScalar
  associatedtype Sum: BitwiseCopyable & Sendable
  static var start: Sum { get }
  static func add(_ sum: Sum, _ element: Element, _ weight: Sum) -> Sum
  static func finish(_ sum: Sum) -> Element
}

extension Resampling {
  /// All channels of one pixel; `from` is the first of the pixels it is made of.
  @inline(__always)
  static func pixel(
    _ from: UnsafePointer<Element>, _ channels: Int, _ weights: UnsafePointer<Sum>, _ count: Int,
    _ to: UnsafeMutablePointer<Element>
  ) {
    if channels == 3 {
      var red = start, green = start, blue = start
      for tap in 0..<count {
        red = add(red, from[3 * tap], weights[tap])
        green = add(green, from[3 * tap + 1], weights[tap])
        blue = add(blue, from[3 * tap + 2], weights[tap])
      }
      (to[0], to[1], to[2]) = (finish(red), finish(green), finish(blue))
      return
    }
    for channel in 0..<channels {
      var sum = start
      for tap in 0..<count { sum = add(sum, from[tap * channels + channel], weights[tap]) }
      to[channel] = finish(sum)
    }
  }
}

private enum ByteResampling: Resampling {
  /// A half, so that the shift rounds.
  @inline(__always) static var start: Int32 { 1 << 21 }

  @inline(__always) static func add(_ sum: Int32, _ element: UInt8, _ weight: Int32) -> Int32 {
    sum &+ Int32(element) &* weight
  }

  @inline(__always) static func finish(_ sum: Int32) -> UInt8 { UInt8(truncatingIfNeeded: min(max(sum >> 22, 0), 255)) }
}

private enum FloatResampling: Resampling {
  @inline(__always) static var start: Double { 0 }

  @inline(__always) static func add(_ sum: Double, _ element: Float, _ weight: Double) -> Double {
    sum + Double(element) * weight
  }

  @inline(__always) static func finish(_ sum: Double) -> Float { Float(sum) }
}
