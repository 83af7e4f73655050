extension Tensor {
  // MARK: Order of axes

  /// Two axes exchanged; a view.
  public func transposed(_ first: Int = -2, _ second: Int = -1) -> Tensor {
    let a = normalizedAxis(first, "transposed"), b = normalizedAxis(second, "transposed")
    var newShape = shape, newStrides = strides
    newShape.swapAt(a, b)
    newStrides.swapAt(a, b)
    return view(shape: newShape, strides: newStrides)
  }

  /// Axes in a new order: axis `i` of the result is axis `axes[i]` of this tensor; a view.
  public func permuted(_ axes: Int...) -> Tensor { permuted(axes) }

  public func permuted(_ axes: [Int]) -> Tensor {
    let order = axes.map { normalizedAxis($0, "permuted") }
    guard order.sorted() == Array(shape.indices) else {
      tensorFailure("permuted: \(axes) is not an order of the axes of shape \(shape)")
    }
    return view(shape: order.map { shape[$0] }, strides: order.map { strides[$0] })
  }

  /// One axis moved to another place; a view.
  public func movedAxis(_ source: Int, to destination: Int) -> Tensor {
    let from = normalizedAxis(source, "movedAxis"), to = normalizedAxis(destination, "movedAxis")
    var order = Array(shape.indices)
    order.insert(order.remove(at: from), at: to)
    return permuted(order)
  }

  /// The elements of the given axes in reverse order; a view.
  public func flipped(_ axes: Int...) -> Tensor {
    var newStrides = strides, start = offset
    for axis in axes.map({ normalizedAxis($0, "flipped") }) where shape[axis] > 0 {
      start += (shape[axis] - 1) * newStrides[axis]
      newStrides[axis] = -newStrides[axis]
    }
    return view(shape: shape, strides: newStrides, offset: start)
  }

  // MARK: Number of axes

  /// The elements in row-major order under another shape; a view where strides allow, else a copy.
  ///
  /// - Parameter newShape: one extent may be -1, to be worked out
  public func reshaped(_ newShape: Int...) -> Tensor { reshaped(newShape) }

  public func reshaped(_ newShape: [Int]) -> Tensor {
    let target = resolvedShape(newShape)
    if let newStrides = stridesForReshape(to: target) { return view(shape: target, strides: newStrides) }
    return copied().view(shape: target, strides: Tensor.contiguousStrides(target), offset: 0)
  }

  /// Axes `first` to `last` merged into one.
  public func flattened(from first: Int = 0, to last: Int = -1) -> Tensor {
    if rank == 0 { return reshaped(1) }
    let a = normalizedAxis(first, "flattened"), b = normalizedAxis(last, "flattened")
    guard a <= b else { tensorFailure("flattened: axis \(first) comes after \(last) in shape \(shape)") }
    return reshaped(Array(shape[..<a]) + [shape[a...b].reduce(1, *)] + Array(shape[(b + 1)...]))
  }

  /// One axis split into several; one extent may be -1.
  public func unflattened(_ axis: Int, _ extents: Int...) -> Tensor {
    let axis = normalizedAxis(axis, "unflattened")
    let known = extents.filter { $0 != -1 }.reduce(1, *)
    guard extents.filter({ $0 == -1 }).count <= 1, known > 0, shape[axis] % known == 0 else {
      tensorFailure("unflattened: axis \(axis) of shape \(shape) does not split into \(extents)")
    }
    let split = extents.map { $0 == -1 ? shape[axis] / known : $0 }
    return reshaped(Array(shape[..<axis]) + split + Array(shape[(axis + 1)...]))
  }

  /// A new axis of extent 1 at `axis` of the result; a view.
  public func unsqueezed(_ axis: Int) -> Tensor {
    let place = axis < 0 ? axis + rank + 1 : axis
    guard (0...rank).contains(place) else { tensorFailure("unsqueezed: no place \(axis) in shape \(shape)") }
    var newShape = shape, newStrides = strides
    newShape.insert(1, at: place)
    newStrides.insert(0, at: place)
    return view(shape: newShape, strides: newStrides)
  }

  /// Without the given axes, which must have extent 1 (all such axes when none is given); a view.
  public func squeezed(_ axes: Int...) -> Tensor {
    let dropped = axes.isEmpty ? shape.indices.filter { shape[$0] == 1 } : axes.map { normalizedAxis($0, "squeezed") }
    if let axis = dropped.first(where: { shape[$0] != 1 }) {
      tensorFailure("squeezed: axis \(axis) of shape \(shape) has extent \(shape[axis]), not 1")
    }
    let kept = shape.indices.filter { !dropped.contains($0) }
    return view(shape: kept.map { shape[$0] }, strides: kept.map { strides[$0] })
  }

  // MARK: Parts

  /// `count` positions of one axis from `start`; a view.
  public func narrow(_ axis: Int, from start: Int, count: Int) -> Tensor {
    let axis = normalizedAxis(axis, "narrow")
    guard start >= 0, count >= 0, start + count <= shape[axis] else {
      tensorFailure("narrow: \(start)..<\(start + count) is outside axis \(axis) of shape \(shape)")
    }
    var newShape = shape
    newShape[axis] = count
    return view(shape: newShape, strides: strides, offset: offset + start * strides[axis])
  }

  /// One position of one axis, without that axis; a view.
  public func select(_ axis: Int, _ index: Int) -> Tensor {
    let axis = normalizedAxis(axis, "select")
    let position = index < 0 ? index + shape[axis] : index
    return narrow(axis, from: position, count: 1).squeezed(axis)
  }

  /// Consecutive parts of the given sizes along one axis; views.
  public func split(_ sizes: [Int], axis: Int = -1) -> [Tensor] {
    let axis = normalizedAxis(axis, "split")
    guard sizes.allSatisfy({ $0 >= 0 }), sizes.reduce(0, +) == shape[axis] else {
      tensorFailure("split: sizes \(sizes) do not add up to axis \(axis) of shape \(shape)")
    }
    var start = 0
    return sizes.map { size in
      defer { start += size }
      return narrow(axis, from: start, count: size)
    }
  }

  /// `parts` equal parts along one axis; views. (PyTorch's `chunk` where it divides evenly.)
  public func chunked(_ parts: Int, axis: Int = -1) -> [Tensor] {
    let axis = normalizedAxis(axis, "chunked")
    guard parts > 0, shape[axis] % parts == 0 else {
      tensorFailure("chunked: axis \(axis) of shape \(shape) does not divide into \(parts) parts")
    }
    return split([Int](repeating: shape[axis] / parts, count: parts), axis: axis)
  }

  // MARK: Broadcasting

  /// This tensor repeated (without a copy) to a larger shape: axes of extent 1 and missing leading axes stretch.
  public func broadcast(to target: [Int]) -> Tensor {
    let lead = target.count - rank
    let fits = lead >= 0 && shape.indices.allSatisfy { shape[$0] == target[lead + $0] || shape[$0] == 1 }
    guard fits else { tensorFailure("broadcast: shape \(shape) does not broadcast to \(target)") }
    let newStrides = target.indices.map { axis in
      axis < lead || (shape[axis - lead] == 1 && target[axis] != 1) ? 0 : strides[axis - lead]
    }
    return view(shape: target, strides: newStrides)
  }

  /// The shape two operands share after broadcasting; stops with both shapes when there is none.
  package static func broadcastShape(_ a: [Int], _ b: [Int], _ operation: String) -> [Int] {
    let rank = max(a.count, b.count)
    return (0..<rank).map { axis in
      let x = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
      let y = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
      guard x == y || x == 1 || y == 1 else {
        tensorFailure("\(operation): shapes \(a) and \(b) do not broadcast")
      }
      return x == 1 ? y : x
    }
  }

  /// Windows of `size` positions, `step` apart, along one axis; the window becomes a new last axis. A view.
  public func windows(_ axis: Int, size: Int, step: Int = 1) -> Tensor {
    let axis = normalizedAxis(axis, "windows")
    guard size > 0, step > 0, size <= shape[axis] else {
      tensorFailure("windows: size \(size), step \(step) do not fit axis \(axis) of shape \(shape)")
    }
    var newShape = shape, newStrides = strides
    newShape[axis] = (shape[axis] - size) / step + 1
    newStrides[axis] = strides[axis] * step
    return view(shape: newShape + [size], strides: newStrides + [strides[axis]])
  }
}

extension Tensor {
  private func resolvedShape(_ newShape: [Int]) -> [Int] {
    let known = newShape.filter { $0 != -1 }.reduce(1, *), unknowns = newShape.count { $0 == -1 }
    let valid = newShape.allSatisfy { $0 >= -1 } && unknowns <= 1
    if valid, unknowns == 0, known == count { return newShape }
    guard valid, unknowns == 1, known > 0, count % known == 0 else {
      tensorFailure("reshaped: shape \(shape) (\(count) elements) does not become \(newShape)")
    }
    return newShape.map { $0 == -1 ? count / known : $0 }
  }

  /// Strides under which `target` walks the same elements in the same order, or nil when only a copy will do.
  private func stridesForReshape(to target: [Int]) -> [Int]? {
    if count == 0 { return Tensor.contiguousStrides(target) }
    // Runs of axes that are contiguous among themselves, from the last to the first.
    var runs: [(extent: Int, stride: Int)] = []
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      if let last = runs.last, strides[axis] == last.stride * last.extent {
        runs[runs.count - 1].extent *= shape[axis]
      } else {
        runs.append((shape[axis], strides[axis]))
      }
    }
    var newStrides = [Int](repeating: 1, count: target.count)
    var run = 0, filled = 1
    for axis in target.indices.reversed() {
      if target[axis] == 1 { continue }
      if run < runs.count, filled == runs[run].extent {
        run += 1
        filled = 1
      }
      guard run < runs.count, runs[run].extent % (filled * target[axis]) == 0 else { return nil }
      newStrides[axis] = runs[run].stride * filled
      filled *= target[axis]
    }
    return newStrides
  }
}
