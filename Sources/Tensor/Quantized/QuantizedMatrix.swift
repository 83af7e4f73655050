// Weights in blocks of a few bits per value, as ggml stores them, unpacked row by row when they are needed.

/// A block-quantised matrix whose codes stay where they lie, usually in a mapped file.
///
/// Rows are the products of all axes but the last, columns the last axis; a row consists of whole blocks, so any range
/// of rows can be unpacked by itself: a linear layer unpacks a panel at a time.
public struct QuantizedMatrix: Sendable {
  /// How a block is coded. Sizes and layouts as in ggml's `ggml-common.h`.
  public enum Format: UInt32, CaseIterable, Sendable {
    /// 32 values: a scale and codes of 4 bits (`0` centred at 8, `1` with an offset).
    case q4_0 = 2
    case q4_1 = 3
    /// 32 values: a scale and codes of 5 bits.
    case q5_0 = 6
    case q5_1 = 7
    /// 32 values: a scale and codes of 8 bits.
    case q8_0 = 8
    /// 256 values in groups with scales of their own, which are quantised too.
    case q2_K = 10
    case q3_K = 11
    case q4_K = 12
    case q5_K = 13
    case q6_K = 14

    /// Values of one block.
    public var blockSize: Int {
      switch self {
      case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
      case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
      }
    }

    /// Bytes of one block.
    public var blockBytes: Int {
      switch self {
      case .q4_0: 18
      case .q4_1: 20
      case .q5_0: 22
      case .q5_1: 24
      case .q8_0: 34
      case .q2_K: 84
      case .q3_K: 110
      case .q4_K: 144
      case .q5_K: 176
      case .q6_K: 210
      }
    }
  }

  public let format: Format
  /// Row-major, the quantised axis last.
  public let shape: [Int]
  package let storage: Storage
  /// Bytes of the storage.
  private let range: Range<Int>

  /// - Parameter storage: as many bytes as the shape needs: whoever reads the format has checked it
  package init(format: Format, shape: [Int], storage: Storage) {
    self.init(format: format, shape: shape, storage: storage, range: 0..<storage.byteCount)
  }

  private init(format: Format, shape: [Int], storage: Storage, range: Range<Int>) {
    self.format = format
    self.shape = shape
    self.storage = storage
    self.range = range
  }

  /// Values of one row.
  public var columns: Int { shape.last ?? 1 }
  /// Number of rows: the product of all axes but the last.
  public var rows: Int { shape.dropLast().reduce(1, *) }
  /// Bytes of one row's blocks.
  public var rowBytes: Int { columns / format.blockSize * format.blockBytes }
  /// Bytes of all blocks.
  public var byteCount: Int { range.count }

  /// Some rows, as a view on the same blocks: one of several layers that a file stores as one matrix.
  ///
  /// - Returns: `[selected.count, columns]`
  public func rows(_ selected: Range<Int>) -> QuantizedMatrix {
    requireRows(selected)
    let start = range.lowerBound + selected.lowerBound * rowBytes
    return QuantizedMatrix(
      format: format, shape: [selected.count, columns], storage: storage,
      range: start..<start + selected.count * rowBytes)
  }

  /// All values, as `f32` in this shape.
  public func dequantized() -> Tensor { dequantized(rows: 0..<rows).reshaped(shape) }

  /// The values of some rows.
  ///
  /// - Returns: `[rows.count, columns]`, `f32`
  public func dequantized(rows selected: Range<Int>) -> Tensor {
    var result = Tensor(uninitialized: [selected.count, columns])
    nonisolated(unsafe) let target = result.freshPointer(as: Float.self)
    let columns = columns
    parallelFor(selected.count, grain: max(1, (1 << 15) / max(1, columns))) { part in
      let rows = selected.lowerBound + part.lowerBound..<selected.lowerBound + part.upperBound
      dequantize(rows: rows, into: target + part.lowerBound * columns)
    }
    return result
  }

  /// Unpacks rows, on this thread, into memory of `rows.count * columns` floats.
  package func dequantize(rows selected: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    requireRows(selected)
    let blocks = selected.count * (columns / format.blockSize)
    withBlocks(rows: selected) { bytes in
      if let source = bytes.baseAddress { format.dequantize(source, blocks, into: target) }
    }
  }

  /// Unpacks some blocks of each of some rows, on all threads, into memory of `rows.count * blocks.count` blocks.
  func dequantize(rows selected: Range<Int>, blocks: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    requireRows(selected)
    nonisolated(unsafe) let target = target
    let width = blocks.count * format.blockSize
    parallelFor(selected.count, grain: max(1, (1 << 15) / max(1, width))) { part in
      for row in part {
        withBlocks(rows: selected.lowerBound + row..<selected.lowerBound + row + 1) { bytes in
          guard let start = bytes.baseAddress else { return }
          format.dequantize(start + blocks.lowerBound * format.blockBytes, blocks.count, into: target + row * width)
        }
      }
    }
  }

  private func requireRows(_ selected: Range<Int>) {
    guard selected.lowerBound >= 0, selected.upperBound <= rows else {
      tensorFailure("QuantizedMatrix: rows \(selected) of a matrix of shape \(shape)")
    }
  }

  /// Lends the blocks of some rows as they lie, at any alignment.
  package func withBlocks<Result>(
    rows selected: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    let start = range.lowerBound + selected.lowerBound * rowBytes
    return try withExtendedLifetime(storage) {
      try body(UnsafeRawBufferPointer(start: storage.base + start, count: selected.count * rowBytes))
    }
  }
}
