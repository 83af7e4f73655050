// Unpacking of ggml's blocks. Reference: gguf.quants (gguf-py), dequantize_blocks of each class, whose order of
// operations is kept, so that results are equal to the last bit.

extension QuantizedMatrix.Format {
  /// Unpacks `count` consecutive blocks.
  func dequantize(_ source: UnsafeRawPointer, _ count: Int, into target: UnsafeMutablePointer<Float>) {
    var source = source
    var target = target
    let unpack = unpacker
    for _ in 0..<count {
      unpack(source, target)
      source += blockBytes
      target += blockSize
    }
  }

  private var unpacker: (UnsafeRawPointer, UnsafeMutablePointer<Float>) -> Void {
    switch self {
    case .q4_0: unpackQ4_0
    case .q4_1: unpackQ4_1
    case .q5_0: unpackQ5_0
    case .q5_1: unpackQ5_1
    case .q8_0: unpackQ8_0
    case .q2_K: unpackQ2K
    case .q3_K: unpackQ3K
    case .q4_K: unpackQ4K
    case .q5_K: unpackQ5K
    case .q6_K: unpackQ6K
    }
  }
}

private typealias Values = UnsafeMutablePointer<Float>

/// The half-precision number at `offset`. By hand, because the baseline instruction set has no conversion.
@inline(__always)
private func half(_ block: UnsafeRawPointer, _ offset: Int) -> Float {
  let bits = UInt32(UInt16(littleEndian: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  let sign = (bits & 0x8000) << 16
  let rest = bits & 0x7FFF
  if rest >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | (rest & 0x03FF) << 13) }
  // Rescaling by 2^112 also normalises subnormal numbers.
  let magnitude = Float(bitPattern: rest << 13) * 0x1p112
  return Float(bitPattern: magnitude.bitPattern | sign)
}

@inline(__always)
private func byte(_ block: UnsafeRawPointer, _ offset: Int) -> UInt8 {
  block.load(fromByteOffset: offset, as: UInt8.self)
}

// MARK: Blocks of 32

private func unpackQ4_0(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  for i in 0..<16 {
    let code = byte(block, 2 + i)
    out[i] = scale * Float(Int32(code & 15) - 8)
    out[i + 16] = scale * Float(Int32(code >> 4) - 8)
  }
}

private func unpackQ4_1(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  let offset = half(block, 2)
  for i in 0..<16 {
    let code = byte(block, 4 + i)
    out[i] = scale * Float(code & 15) + offset
    out[i + 16] = scale * Float(code >> 4) + offset
  }
}

private func unpackQ5_0(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  let high = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
  for i in 0..<16 {
    let code = UInt32(byte(block, 6 + i))
    out[i] = scale * Float(Int32(bitPattern: code & 15 | (high >> UInt32(i) & 1) << 4) - 16)
    out[i + 16] = scale * Float(Int32(bitPattern: code >> 4 | (high >> UInt32(i + 16) & 1) << 4) - 16)
  }
}

private func unpackQ5_1(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  let offset = half(block, 2)
  let high = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
  for i in 0..<16 {
    let code = UInt32(byte(block, 8 + i))
    out[i] = scale * Float(code & 15 | (high >> UInt32(i) & 1) << 4) + offset
    out[i + 16] = scale * Float(code >> 4 | (high >> UInt32(i + 16) & 1) << 4) + offset
  }
}

private func unpackQ8_0(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  for i in 0..<32 { out[i] = Float(Int8(bitPattern: byte(block, 2 + i))) * scale }
}

// MARK: Blocks of 256

/// 16 groups of 16 with a scale and a minimum of 4 bits each; codes of 2 bits.
private func unpackQ2K(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 80)
  let minimum = half(block, 82)
  for group in 0..<16 {
    let scales = byte(block, group)
    let step = scale * Float(scales & 15)
    let base = minimum * Float(scales >> 4)
    let codes = block + 16 + group / 8 * 32 + group % 2 * 16
    let shift = UInt8(group % 8 / 2 * 2)
    for i in 0..<16 { out[group * 16 + i] = step * Float(byte(codes, i) >> shift & 3) - base }
  }
}

/// 16 groups of 16 with a scale of 6 bits each; codes of 2 bits and a third in a mask.
private func unpackQ3K(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 108)
  for group in 0..<16 {
    let low = byte(block, 96 + group % 8) >> UInt8(group / 8 * 4) & 15
    let high = byte(block, 104 + group % 4) >> UInt8(group / 4 * 2) & 3
    let step = scale * Float(Int32(low | high << 4) - 32)
    let codes = block + 32 + group / 8 * 32 + group % 2 * 16
    let mask = block + group % 2 * 16
    let shift = UInt8(group % 8 / 2 * 2)
    let bit = UInt8(group / 2)
    for i in 0..<16 {
      let code = Int32(byte(codes, i) >> shift & 3) - Int32((byte(mask, i) >> bit & 1 ^ 1) << 2)
      out[group * 16 + i] = step * Float(code)
    }
  }
}

/// Scale and minimum of group `index` (0 to 7), 6 bits each, of the 12 bytes that Q4_K and Q5_K share.
@inline(__always)
private func scaleAndMinimum(_ scales: UnsafeRawPointer, _ index: Int) -> (scale: UInt8, minimum: UInt8) {
  if index < 4 { return (byte(scales, index) & 63, byte(scales, index + 4) & 63) }
  let low = byte(scales, index + 4)
  return (low & 15 | byte(scales, index - 4) >> 2 & 0x30, low >> 4 | byte(scales, index) >> 2 & 0x30)
}

/// 8 groups of 32 with a scale and a minimum of 6 bits each; codes of 4 bits.
private func unpackQ4K(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  let minimum = half(block, 2)
  for group in 0..<8 {
    let (groupScale, groupMinimum) = scaleAndMinimum(block + 4, group)
    let step = scale * Float(groupScale)
    let base = minimum * Float(groupMinimum)
    let codes = block + 16 + group / 2 * 32
    let shift = UInt8(group % 2 * 4)
    for i in 0..<32 { out[group * 32 + i] = step * Float(byte(codes, i) >> shift & 15) - base }
  }
}

/// As Q4_K, with a fifth bit of each code in a mask.
private func unpackQ5K(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 0)
  let minimum = half(block, 2)
  for group in 0..<8 {
    let (groupScale, groupMinimum) = scaleAndMinimum(block + 4, group)
    let step = scale * Float(groupScale)
    let base = minimum * Float(groupMinimum)
    let codes = block + 48 + group / 2 * 32
    let mask = block + 16
    let shift = UInt8(group % 2 * 4)
    let bit = UInt8(group)
    for i in 0..<32 {
      let code = byte(codes, i) >> shift & 15 | (byte(mask, i) >> bit & 1) << 4
      out[group * 32 + i] = step * Float(code) - base
    }
  }
}

/// 16 groups of 16 with a scale of 8 bits each; codes of 4 bits and two more in a mask.
private func unpackQ6K(_ block: UnsafeRawPointer, _ out: Values) {
  let scale = half(block, 208)
  for group in 0..<16 {
    let step = scale * Float(Int8(bitPattern: byte(block, 192 + group)))
    let quarter = group % 8 / 2
    let start = group % 2 * 16
    let low = block + group / 8 * 64 + quarter % 2 * 32 + start
    let high = block + 128 + group / 8 * 32 + start
    let lowShift = UInt8(quarter / 2 * 4)
    let highShift = UInt8(quarter * 2)
    for i in 0..<16 {
      let code = byte(low, i) >> lowShift & 15 | (byte(high, i) >> highShift & 3) << 4
      out[group * 16 + i] = step * Float(Int32(code) - 32)
    }
  }
}
