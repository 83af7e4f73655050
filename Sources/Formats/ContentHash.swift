import Tensor

/// FNV-1a twice, with different beginnings: to tell contents apart, not to prove anything.
package struct ContentHash {
  private var low: UInt64 = 0xcbf2_9ce4_8422_2325, high: UInt64 = 0x6c62_272e_07bb_0142

  package init() {}

  package mutating func add(_ tensor: Tensor) {
    add("\(tensor.dtype)\(tensor.shape)")
    tensor.bytes.withUnsafeBytes { add($0) }
  }

  /// Eight bytes at a time: pictures have millions.
  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    let words = bytes.count / 8
    for word in 0..<words { mix(bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self).littleEndian) }
    for byte in bytes[(words * 8)...] { mix(UInt64(byte)) }
  }

  package mutating func add(_ text: String) {
    for byte in text.utf8 { mix(UInt64(byte)) }
    mix(0x100)
  }

  private mutating func mix(_ value: UInt64) {
    low = (low ^ value) &* 0x100_0000_01b3
    // A multiplication carries upwards only.
    low ^= low >> 32
    high = (high ^ value.byteSwapped) &* 0x9e37_79b9_7f4a_7c15
    high ^= high >> 29
  }

  /// 32 hexadecimal digits.
  package var text: String { hexadecimal(low) + hexadecimal(high) }

  private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
