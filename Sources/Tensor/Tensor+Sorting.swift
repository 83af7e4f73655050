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
    let length = shape[axis], count = result.shape[axis], step = strides[axis], resultStep = result.strides[axis]
    let origin = rawPointer, target = result.storage.base.assumingMemoryBound(to: Int.self)
    let order = SortOrder<Word>(dtype, descending: descending)
    let others = shape.indices.filter { $0 != axis }.reversed()
    if length == 0 || count == 0 { return }
    parallelFor(others.reduce(1) { $0 * shape[$1] }, grain: max(1, 4096 / length)) { range in
      let entries = UnsafeMutableBufferPointer<SortEntry<Word>>.allocate(capacity: length)
      let spare = UnsafeMutableBufferPointer<SortEntry<Word>>.allocate(capacity: length)
      defer {
        entries.deallocate()
        spare.deallocate()
      }
      for line in range {
        var rest = line, from = 0, to = 0
        for other in others {
          from += rest % shape[other] * strides[other]
          to += rest % shape[other] * result.strides[other]
          rest /= shape[other]
        }
        for i in 0..<length {
          let word = (origin + (from + i * step) * MemoryLayout<Word>.size).loadUnaligned(as: Word.self)
          entries[i] = SortEntry(key: order.key(word), index: UInt32(truncatingIfNeeded: i))
        }
        sortFirst(count, of: entries, spare)
        for i in 0..<count { target[to + i * resultStep] = Int(entries[i].index) }
      }
    }
  }
}

private typealias SortableWord = FixedWidthInteger & UnsignedInteger & BitwiseCopyable

/// Turns the bits of an element into an unsigned number that sorts as the element does.
private struct SortOrder<Word: SortableWord> {
  private enum Kind {
    case unsigned, twosComplement
    /// Sign and magnitude; magnitudes above the given one are NaN.
    case float(infinity: Word)
  }
  private let kind: Kind
  private let flip: Word  // all ones for descending order
  private let sign: Word = 1 << (Word.bitWidth - 1)

  init(_ dtype: DType, descending: Bool) {
    flip = descending ? .max : 0
    kind =
      switch dtype {
      case .u64, .u32, .u16, .u8, .bool: .unsigned
      case .i64, .i32, .i16, .i8: .twosComplement
      case .f64: .float(infinity: Word(truncatingIfNeeded: 0x7FF0_0000_0000_0000 as UInt64))
      case .f32: .float(infinity: Word(truncatingIfNeeded: 0x7F80_0000 as UInt64))
      case .f16: .float(infinity: Word(truncatingIfNeeded: 0x7C00 as UInt64))
      case .bf16: .float(infinity: Word(truncatingIfNeeded: 0x7F80 as UInt64))
      case .f8e5m2: .float(infinity: 0x7C)
      case .f8e4m3: .float(infinity: 0x7E)  // no infinity: the greatest finite number
      }
  }

  @inline(__always) func key(_ word: Word) -> Word {
    switch kind {
    case .unsigned: return word ^ flip
    case .twosComplement: return word ^ sign ^ flip
    case .float(let infinity):
      let magnitude = word & ~sign
      if magnitude > infinity { return .max ^ flip }
      if magnitude == 0 { return sign ^ flip }
      return (word & sign != 0 ? ~word : word | sign) ^ flip
    }
  }
}

private struct SortEntry<Word: SortableWord>: BitwiseCopyable {
  var key: Word
  var index: UInt32

  @inline(__always) static func precedes(_ a: Self, _ b: Self) -> Bool {
    a.key != b.key ? a.key < b.key : a.index < b.index
  }
}

/// Brings the first `count` entries to the front, in order. `spare` has the size of `entries`.
private func sortFirst<Word>(
  _ count: Int, of entries: UnsafeMutableBufferPointer<SortEntry<Word>>,
  _ spare: UnsafeMutableBufferPointer<SortEntry<Word>>
) {
  if count * 8 < entries.count {
    selectFirst(count, of: entries)
    sortInsertionOrRadix(UnsafeMutableBufferPointer(rebasing: entries[..<count]), spare)
  } else {
    sortInsertionOrRadix(entries, spare)
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

/// Keeps the first `count` entries in a heap with the last of them on top: one comparison per entry that is not among
/// them.
private func selectFirst<Word>(_ count: Int, of entries: UnsafeMutableBufferPointer<SortEntry<Word>>) {
  func sink(_ start: Int) {
    var parent = start
    while true {
      var child = 2 * parent + 1
      guard child < count else { return }
      if child + 1 < count, SortEntry.precedes(entries[child], entries[child + 1]) { child += 1 }
      guard SortEntry.precedes(entries[parent], entries[child]) else { return }
      entries.swapAt(parent, child)
      parent = child
    }
  }
  for parent in (0..<count / 2).reversed() { sink(parent) }
  for i in count..<entries.count where SortEntry.precedes(entries[i], entries[0]) {
    entries.swapAt(0, i)
    sink(0)
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
