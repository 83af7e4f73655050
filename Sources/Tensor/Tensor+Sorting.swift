extension Tensor {
  /// The elements of every line along `axis` in order.
  ///
  /// Stable: equal elements (0 and -0 are equal) keep their order. NaN counts as the greatest, as in PyTorch: last in
  /// ascending order, first in descending.
  public func sorted(_ axis: Int = -1, descending: Bool = false) -> Tensor {
    let indices = ordered(axis, descending, count: nil, "sorted")
    return rank == 0 ? self : gather(axis, indices)
  }

  /// The positions that sort every line along `axis`, in the order of `sorted`.
  ///
  /// - Returns: `i64`, of this shape
  public func argsort(_ axis: Int = -1, descending: Bool = false) -> Tensor {
    ordered(axis, descending, count: nil, "argsort")
  }

  /// The `count` greatest (or smallest) elements of every line along `axis`, best first, and their positions.
  ///
  /// Of equal elements the first ones are taken (PyTorch leaves it open); NaN counts as the greatest.
  ///
  /// - Returns: values of this dtype and indices of `i64`, with extent `count` on `axis`
  public func topK(_ count: Int, axis: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
    let extent = rank == 0 ? 1 : shape[normalizedAxis(axis, "topK")]
    guard (rank == 0 ? 1...1 : 0...extent).contains(count) else {
      tensorFailure("topK: \(count) of axis \(axis) of shape \(shape)")
    }
    let indices = ordered(axis, largest, count: count, "topK")
    return (rank == 0 ? broadcast(to: indices.shape) : gather(axis, indices), indices)
  }

  /// Positions of the first `count` elements of every line in order; all of them when nil.
  private func ordered(_ axis: Int, _ descending: Bool, count: Int?, _ operation: String) -> Tensor {
    if rank == 0 {
      guard axis == 0 || axis == -1 else { tensorFailure("\(operation): axis \(axis) does not exist in shape []") }
      return reshaped(1).ordered(0, descending, count: count, operation).reshaped([])
    }
    let axis = normalizedAxis(axis, operation)
    guard shape[axis] <= Int(UInt32.max) else {
      tensorFailure("\(operation): axis \(axis) of shape \(shape) is too long")
    }
    var extents = shape
    extents[axis] = count ?? shape[axis]
    let result = Tensor(uninitialized: extents, dtype: .i64)
    withExtendedLifetime(self) {
      switch dtype.size {
      case 1: order(UInt8.self, axis, descending, into: result)
      case 2: order(UInt16.self, axis, descending, into: result)
      case 4: order(UInt32.self, axis, descending, into: result)
      default: order(UInt64.self, axis, descending, into: result)
      }
    }
    return result
  }

  private func order<Word: SortableWord>(_ type: Word.Type, _ axis: Int, _ descending: Bool, into result: Tensor) {
    let length = shape[axis], count = result.shape[axis], resultStep = result.strides[axis]
    let origin = rawPointer, target = result.storage.base.assumingMemoryBound(to: Int.self)
    let keys = SortKeys<Word>(dtype, descending: descending)
    let others = shape.indices.filter { $0 != axis }.reversed()
    if length == 0 || count == 0 { return }
    let selects = count * 8 < length
    parallelFor(others.reduce(1) { $0 * shape[$1] }, grain: max(1, 4096 / length)) { range in
      let entries = UnsafeMutableBufferPointer<SortEntry<Word>>.allocate(capacity: selects ? count : length)
      let spare = UnsafeMutableBufferPointer<SortEntry<Word>>.allocate(capacity: entries.count)
      defer {
        entries.deallocate()
        spare.deallocate()
      }
      for place in range {
        var rest = place, from = 0, to = 0
        for other in others {
          from += rest % shape[other] * strides[other]
          to += rest % shape[other] * result.strides[other]
          rest /= shape[other]
        }
        let line = SortLine(
          start: origin + from * MemoryLayout<Word>.size, stride: strides[axis], length: length, keys: keys)
        if selects { line.selectFirst(entries) } else { line.readAll(entries) }
        sortInsertionOrRadix(entries, spare)
        for i in 0..<count { target[to + i * resultStep] = Int(entries[i].index) }
      }
    }
  }
}

private func sortInsertionOrRadix<Word>(
  _ entries: UnsafeMutableBufferPointer<SortEntry<Word>>, _ spare: UnsafeMutableBufferPointer<SortEntry<Word>>
) {
  // Below this length counting digits costs more than comparing.
  if entries.count > 64 {
    radixSort(entries, spare)
    return
  }
  for i in entries.indices.dropFirst() {
    let entry = entries[i]
    var place = i
    while place > 0, SortEntry.precedes(entry, entries[place - 1]) {
      entries[place] = entries[place - 1]
      place -= 1
    }
    entries[place] = entry
  }
}

/// Least significant digit first, a byte at a time; stable, so entries given in the order of their indices keep it.
/// A byte that all keys share is skipped. After `selectFirst` the indices are in any order and are sorted first.
private func radixSort<Word>(
  _ entries: UnsafeMutableBufferPointer<SortEntry<Word>>, _ spare: UnsafeMutableBufferPointer<SortEntry<Word>>
) {
  var source = entries, target = spare
  func pass(_ digit: (SortEntry<Word>) -> Int) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 256) { places in
      places.initialize(repeating: 0)
      for i in entries.indices { places[digit(source[i])] += 1 }
      if places[digit(source[0])] == entries.count { return }
      var start = 0
      for value in 0..<256 { (places[value], start) = (start, start + places[value]) }
      for i in entries.indices {
        let value = digit(source[i])
        target[places[value]] = source[i]
        places[value] += 1
      }
      swap(&source, &target)
    }
  }
  let isInOrder = entries.indices.dropFirst().allSatisfy { entries[$0 - 1].index < entries[$0].index }
  if !isInOrder {
    for shift in stride(from: 0, to: 32, by: 8) { pass { Int(truncatingIfNeeded: ($0.index >> shift) & 0xFF) } }
  }
  for shift in stride(from: 0, to: Word.bitWidth, by: 8) {
    pass { Int(truncatingIfNeeded: ($0.key >> Word(shift)) & 0xFF) }
  }
  if source.baseAddress != entries.baseAddress {
    for i in entries.indices { entries[i] = source[i] }
  }
}
