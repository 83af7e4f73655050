// Numbers out of untrusted bytes: every read is checked against the end.

/// A position in a range of bytes. Reads return nil, and do not move, when the bytes end too early.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  private(set) var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
    self.bytes = bytes
    self.offset = Swift.max(0, Swift.min(offset, bytes.count))
  }

  var remaining: Int { bytes.count - offset }

  /// The next integer, stored with its lowest byte first.
  mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value? {
    let size = MemoryLayout<Value>.size
    guard remaining >= size else { return nil }
    let value = bytes.loadUnaligned(fromByteOffset: offset, as: Value.self)
    offset += size
    return Value(littleEndian: value)
  }

  /// The next integer, stored with its highest byte first.
  mutating func bigEndianInteger<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value? {
    integer(Value.self)?.byteSwapped
  }

  /// The next `count` bytes.
  mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count >= 0, count <= remaining else { return nil }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  mutating func skip(_ count: Int) -> Bool { take(count) != nil }
}

/// The most axes a tensor of a file may have.
let maximumRank = 64

/// The number of elements of a shape that comes from a file, or nil when a dimension is negative, there are more than
/// ``maximumRank``, or sizes do not fit. Empty tensors must have strides that fit, too.
func checkedElementCount(_ shape: [Int]) -> Int? {
  guard shape.count <= maximumRank else { return nil }
  var extent = 1
  for dimension in shape {
    let (product, overflow) = extent.multipliedReportingOverflow(by: max(dimension, 1))
    guard dimension >= 0, !overflow, product <= Int.max / 16 else { return nil }
    extent = product
  }
  return shape.contains(0) ? 0 : extent
}

/// `a + b` for sizes that come from a file, or nil when it does not fit.
func checkedSum(_ a: Int, _ b: Int) -> Int? {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow ? nil : sum
}

/// `a * b` for sizes that come from a file, or nil when it does not fit.
func checkedProduct(_ a: Int, _ b: Int) -> Int? {
  let (product, overflow) = a.multipliedReportingOverflow(by: b)
  return overflow ? nil : product
}

extension Array where Element == UInt8 {
  mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
