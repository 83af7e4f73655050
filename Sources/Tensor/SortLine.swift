import CKernels

typealias SortableWord = FixedWidthInteger & UnsignedInteger & BitwiseCopyable

/// Turns elements into unsigned numbers that sort as the elements do.
struct SortKeys<Word: SortableWord> {
  nonisolated(unsafe) private let table = Kernels.current.table  // points to constant data
  private let order: ck_sort_order

  init(_ dtype: DType, descending: Bool) {
    let sign: UInt64 = 1 << UInt64(Word.bitWidth - 1)
    // Magnitudes above the third are NaN.
    let (mirror, bias, infinity): (UInt64, UInt64, UInt64) =
      switch dtype {
      case .u64, .u32, .u16, .u8, .bool: (0, 0, .max)
      case .i64, .i32, .i16, .i8: (0, sign, .max)
      case .f64: (sign, sign, 0x7FF0_0000_0000_0000)
      case .f32: (sign, sign, 0x7F80_0000)
      case .f16: (sign, sign, 0x7C00)
      case .bf16: (sign, sign, 0x7F80)
      case .f8e5m2: (sign, sign, 0x7C)
      case .f8e4m3: (sign, sign, 0x7E)  // no infinity: the greatest finite number
      }
    order = ck_sort_order(mirror: mirror, bias: bias, infinity: infinity, flip: descending ? .max : 0)
  }

  /// Keys of up to `ck_sort_block` elements.
  ///
  /// - Returns: bit `i` set where `keys[i] < limit`
  func read(
    _ start: UnsafeRawPointer, stride: Int, count: Int, into keys: UnsafeMutableBufferPointer<Word>, below limit: Word
  ) -> UInt64 {
    ck_sort_keys(table, MemoryLayout<Word>.size, order, start, stride, count, UInt64(limit), keys.baseAddress)
  }
}

/// An element's key and its place in the line.
struct SortEntry<Word: SortableWord>: BitwiseCopyable {
  var key: Word
  var index: UInt32

  @inline(__always) static func precedes(_ a: Self, _ b: Self) -> Bool {
    a.key != b.key ? a.key < b.key : a.index < b.index
  }
}

/// The elements of a tensor along one axis.
struct SortLine<Word: SortableWord> {
  let start: UnsafeRawPointer
  let stride: Int
  let length: Int
  let keys: SortKeys<Word>

  /// Fills `entries` with the whole line, in its order.
  func readAll(_ entries: UnsafeMutableBufferPointer<SortEntry<Word>>) {
    forEachBlock { block, first, count in
      _ = read(first, count, into: block, below: 0)
      for i in 0..<count { entries[first + i] = entry(block, i, first) }
    }
  }

  /// Fills `heap` with the entries that come first, in no order. The last of them lies on top; an element that is not
  /// among them costs a comparison with that one, in vectors.
  func selectFirst(_ heap: UnsafeMutableBufferPointer<SortEntry<Word>>) {
    var filled = 0
    forEachBlock { block, first, count in
      // An element with the top's key comes after it.
      var preceding = read(first, count, into: block, below: filled < heap.count ? .max : heap[0].key)
      var i = 0
      while filled < heap.count, i < count {
        heap[filled] = entry(block, i, first)
        (filled, i) = (filled + 1, i + 1)
        if filled == heap.count { for parent in (0..<filled / 2).reversed() { sink(parent, in: heap) } }
      }
      preceding &= ~0 << UInt64(i)
      while preceding != 0 {
        i = preceding.trailingZeroBitCount
        preceding &= preceding - 1
        if block[i] < heap[0].key {
          heap[0] = entry(block, i, first)
          sink(0, in: heap)
        }
      }
    }
  }

  private func forEachBlock(_ body: (UnsafeMutableBufferPointer<Word>, _ first: Int, _ count: Int) -> Void) {
    withUnsafeTemporaryAllocation(of: Word.self, capacity: Int(ck_sort_block)) { block in
      for first in Swift.stride(from: 0, to: length, by: block.count) {
        body(block, first, min(block.count, length - first))
      }
    }
  }

  private func read(
    _ first: Int, _ count: Int, into block: UnsafeMutableBufferPointer<Word>, below limit: Word
  ) -> UInt64 {
    keys.read(
      start + first * stride * MemoryLayout<Word>.size, stride: stride, count: count, into: block, below: limit)
  }

  private func entry(_ block: UnsafeMutableBufferPointer<Word>, _ i: Int, _ first: Int) -> SortEntry<Word> {
    SortEntry(key: block[i], index: UInt32(truncatingIfNeeded: first + i))
  }

  /// Moves an entry down a heap until it precedes none below it.
  private func sink(_ start: Int, in heap: UnsafeMutableBufferPointer<SortEntry<Word>>) {
    var parent = start
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { return }
      if child + 1 < heap.count, SortEntry.precedes(heap[child], heap[child + 1]) { child += 1 }
      guard SortEntry.precedes(heap[parent], heap[child]) else { return }
      heap.swapAt(parent, child)
      parent = child
    }
  }
}
