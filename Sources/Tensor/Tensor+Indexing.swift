/// One entry of `tensor[…]`: an index, a range, a range with a step, `.all`, `.ellipsis` or `.newAxis`.
///
/// `x[0..., ..<3, 2, .all, .newAxis]` reads as in NumPy. Negative positions count from the end: `x[-1]`,
/// `x[(-3)...]`, `x[..<(-1)]`. Ranges are clamped to the axis as NumPy clamps them; a single index is not.
public protocol TensorIndex: Sendable {
  var axisSelection: AxisSelection { get }
}

/// What one index does to its axis.
public enum AxisSelection: Sendable {
  case index(Int)
  /// From `lower` up to but not including `upper` (nil: to the end), every `step`-th.
  case range(lower: Int?, upper: Int?, step: Int)
  /// Every axis the other selections leave.
  case remaining
  /// A new axis of extent 1.
  case insertion
}

extension AxisSelection: TensorIndex {
  public var axisSelection: AxisSelection { self }
}

extension TensorIndex where Self == AxisSelection {
  /// The whole axis.
  public static var all: AxisSelection { .range(lower: nil, upper: nil, step: 1) }
  /// As many `.all` as the other indices leave.
  public static var ellipsis: AxisSelection { .remaining }
  /// A new axis of extent 1.
  public static var newAxis: AxisSelection { .insertion }
  /// Every `step`-th position; a negative step walks backwards from the end.
  public static func every(_ step: Int) -> AxisSelection { .range(lower: nil, upper: nil, step: step) }
}

extension Int: TensorIndex {
  public var axisSelection: AxisSelection { .index(self) }
}
extension Range: TensorIndex where Bound == Int {
  public var axisSelection: AxisSelection { .range(lower: lowerBound, upper: upperBound, step: 1) }
}
extension ClosedRange: TensorIndex where Bound == Int {
  public var axisSelection: AxisSelection {
    .range(lower: lowerBound, upper: upperBound == -1 ? nil : upperBound + 1, step: 1)
  }
}
extension PartialRangeFrom: TensorIndex where Bound == Int {
  public var axisSelection: AxisSelection { .range(lower: lowerBound, upper: nil, step: 1) }
}
extension PartialRangeUpTo: TensorIndex where Bound == Int {
  public var axisSelection: AxisSelection { .range(lower: nil, upper: upperBound, step: 1) }
}
extension PartialRangeThrough: TensorIndex where Bound == Int {
  public var axisSelection: AxisSelection {
    .range(lower: nil, upper: upperBound == -1 ? nil : upperBound + 1, step: 1)
  }
}

extension Tensor {
  /// A view of part of the tensor; assignment writes `newValue`, broadcast to that part, into this tensor.
  public subscript(_ indices: any TensorIndex...) -> Tensor {
    get { selecting(indices.map(\.axisSelection)) }
    set { assign(newValue, at: indices.map(\.axisSelection)) }
  }

  func selecting(_ selections: [AxisSelection]) -> Tensor {
    var newShape: [Int] = [], newStrides: [Int] = [], start = offset
    var axis = 0
    for selection in expandingEllipsis(selections) {
      switch selection {
      case .insertion:
        newShape.append(1)
        newStrides.append(0)
        continue
      case .index(let index):
        start += position(index, axis) * strides[axis]
      case .range(let lower, let upper, let step):
        let (first, count) = resolve(lower, upper, step, axis)
        start += first * strides[axis]
        newShape.append(count)
        newStrides.append(strides[axis] * step)
      case .remaining:
        tensorFailure("subscript: more than one .ellipsis for shape \(shape)")
      }
      axis += 1
    }
    return view(shape: newShape, strides: newStrides, offset: start)
  }

  private mutating func assign(_ value: Tensor, at selections: [AxisSelection]) {
    let value = value.converted(to: dtype)
    _ = uniquePointer()
    let part = selecting(selections)
    part.overwrite(with: value.broadcast(to: part.shape))
  }

  private func expandingEllipsis(_ selections: [AxisSelection]) -> [AxisSelection] {
    let used = selections.count {
      if case .insertion = $0 { false } else if case .remaining = $0 { false } else { true }
    }
    guard used <= rank else { tensorFailure("subscript: \(used) indices for shape \(shape)") }
    let rest = [AxisSelection](repeating: .all, count: rank - used)
    guard let place = selections.firstIndex(where: { if case .remaining = $0 { true } else { false } }) else {
      return selections + rest
    }
    return Array(selections[..<place]) + rest + Array(selections[(place + 1)...])
  }

  private func position(_ index: Int, _ axis: Int) -> Int {
    let position = index < 0 ? index + shape[axis] : index
    guard position >= 0, position < shape[axis] else {
      tensorFailure("subscript: index \(index) is outside axis \(axis) of shape \(shape)")
    }
    return position
  }

  /// First position and number of positions, clamped as Python's `slice.indices` does.
  private func resolve(_ lower: Int?, _ upper: Int?, _ step: Int, _ axis: Int) -> (first: Int, count: Int) {
    let extent = shape[axis]
    guard step != 0 else { tensorFailure("subscript: step 0 on axis \(axis) of shape \(shape)") }
    func clamp(_ bound: Int, _ range: ClosedRange<Int>) -> Int {
      min(max(bound < 0 ? bound + extent : bound, range.lowerBound), range.upperBound)
    }
    if step > 0 {
      let first = lower.map { clamp($0, 0...extent) } ?? 0, end = upper.map { clamp($0, 0...extent) } ?? extent
      let count = max(0, (end - first + step - 1) / step)
      return (count == 0 ? 0 : first, count)
    }
    let first = lower.map { clamp($0, -1...(extent - 1)) } ?? extent - 1
    let end = upper.map { clamp($0, -1...(extent - 1)) } ?? -1
    let count = max(0, (first - end - step - 1) / -step)
    return (count == 0 ? 0 : first, count)
  }
}
