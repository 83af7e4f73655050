import Glibc

/// What stands in the border that padding adds.
public enum PaddingMode: Sendable, Hashable {
  /// One value, rounded to the tensor's dtype.
  case constant(Float)
  /// The inner elements mirrored at the edge element, which is not repeated: `c b | a b c | b a`.
  case reflect
  /// The edge element: `a a | a b c | c c`.
  case replicate
  /// The elements of the other end: `b c | a b c | a b`.
  case circular
}

extension Tensor {
  /// Borders added to the last axes, as `torch.nn.functional.pad`.
  ///
  /// - Parameters:
  ///   - amounts: before and after, the last axis first: `[left, right, top, bottom, …]`. Negative amounts crop.
  ///   - mode: `reflect` needs amounts below the extent of the axis, `circular` amounts up to it; `circular` wraps what
  ///     cropping leaves
  public func padded(_ amounts: [Int], mode: PaddingMode = .constant(0)) -> Tensor {
    guard amounts.count % 2 == 0, amounts.count <= 2 * rank else {
      tensorFailure("padded: amounts \(amounts) are not pairs for the last axes of shape \(shape)")
    }
    let axes = shape.indices.map { axis in
      let pair = 2 * (rank - 1 - axis)
      let (before, after) = pair < amounts.count ? (amounts[pair], amounts[pair + 1]) : (0, 0)
      return PaddedAxis(extent: shape[axis], before: before, after: after, mode, axis, shape)
    }
    if axes.allSatisfy(\.isUnchanged) { return self }
    let result = Tensor(uninitialized: axes.map(\.positions.count), dtype: dtype)
    var filling = Tensor(0).converted(to: dtype)
    if case .constant(let value) = mode { filling = Tensor(value).converted(to: dtype) }
    withExtendedLifetime((self, filling)) {
      let fill = filling.rawPointer
      switch dtype.size {
      case 1: pad(into: result, axes, fill.load(as: UInt8.self))
      case 2: pad(into: result, axes, fill.load(as: UInt16.self))
      case 4: pad(into: result, axes, fill.load(as: UInt32.self))
      default: pad(into: result, axes, fill.load(as: UInt64.self))
      }
    }
    return result
  }

  /// Borders added to one axis.
  public func padded(_ axis: Int, before: Int = 0, after: Int = 0, mode: PaddingMode = .constant(0)) -> Tensor {
    let axis = normalizedAxis(axis, "padded")
    var amounts = [Int](repeating: 0, count: 2 * (rank - axis))
    amounts[amounts.count - 2] = before
    amounts[amounts.count - 1] = after
    return padded(amounts, mode: mode)
  }

  /// Fills `result` (contiguous, rank 1 or more) row by row from the source positions of every axis.
  private func pad<Word: BitwiseCopyable>(into result: Tensor, _ axes: [PaddedAxis], _ fill: Word) {
    let size = MemoryLayout<Word>.size, origin = rawPointer
    let target = result.storage.base.assumingMemoryBound(to: Word.self)
    guard result.count > 0, let inner = axes.last else { return }
    let outer = axes.dropLast(), width = inner.positions.count, step = strides[rank - 1], border = inner.border
    parallelFor(result.count / width, grain: max(1, 16384 / width)) { rows in
      for row in rows {
        let to = target + row * width
        guard let start = sourceOffset(ofRow: row, outer) else {
          to.update(repeating: fill, count: width)
          continue
        }
        let from = origin + start * size
        for place in border {
          let position = inner.positions[place]
          to[place] = position < 0 ? fill : (from + position * step * size).loadUnaligned(as: Word.self)
        }
        let own = inner.interior
        if own.isEmpty { continue }
        let first = from + inner.positions[own.lowerBound] * step * size
        if step == 1 {
          memcpy(to + own.lowerBound, first, own.count * size)
        } else {
          for i in 0..<own.count { to[own.lowerBound + i] = (first + i * step * size).loadUnaligned(as: Word.self) }
        }
      }
    }
  }

  /// Where row `row` of the result lies in this tensor, in elements; nil in a constant border.
  private func sourceOffset(ofRow row: Int, _ outer: ArraySlice<PaddedAxis>) -> Int? {
    var rest = row, start = 0
    for axis in outer.indices.reversed() {
      let positions = outer[axis].positions
      let (quotient, place) = rest.quotientAndRemainder(dividingBy: positions.count)
      if positions[place] < 0 { return nil }
      start += positions[place] * strides[axis]
      rest = quotient
    }
    return start
  }
}

/// One axis of a padding: the source position of every position of the result, -1 for the constant.
private struct PaddedAxis {
  let positions: [Int]
  /// The positions of the result that show the source itself, in order.
  let interior: Range<Int>
  let isUnchanged: Bool

  /// The positions of the result outside `interior`.
  var border: [Int] { Array(0..<interior.lowerBound) + Array(interior.upperBound..<positions.count) }

  init(extent: Int, before: Int, after: Int, _ mode: PaddingMode, _ axis: Int, _ shape: [Int]) {
    let width = extent + before + after, first = max(0, -before), last = extent - max(0, -after)
    let limit: Int? =
      switch mode {
      case .constant: nil
      case .reflect: extent - 1
      case .replicate: extent > 0 ? nil : 0
      case .circular: last - first
      }
    guard first <= last, limit.map({ max(before, after) <= max(0, $0) }) ?? true else {
      tensorFailure("padded: amounts \(before) and \(after) (\(mode)) do not fit axis \(axis) of shape \(shape)")
    }
    let start = min(max(before, 0), width), end = max(start, min(before + extent, width))
    interior = start..<end
    isUnchanged = before == 0 && after == 0
    positions = (0..<width).map { place in
      let position = place - before
      if (0..<extent).contains(position) { return position }
      switch mode {
      case .constant: return -1
      case .reflect: return position < 0 ? -position : 2 * (extent - 1) - position
      case .replicate: return position < 0 ? 0 : extent - 1
      case .circular: return position < first ? position + (last - first) : position - (last - first)
      }
    }
  }
}
