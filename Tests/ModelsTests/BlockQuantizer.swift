import Tensor

/// Numbers into ggml's blocks, in the plainest way: what people's tools do better, and what the layouts need.
struct BlockQuantizer {
  let format: QuantizedMatrix.Format

  func bytes(_ values: [Float]) -> [UInt8] {
    stride(from: 0, to: values.count, by: format.blockSize).flatMap { start in
      block(Array(values[start..<start + format.blockSize]))
    }
  }

  private func block(_ x: [Float]) -> [UInt8] {
    switch format {
    case .q4_0: q4_0(x)
    case .q4_K: k(x, bits: 4)
    case .q5_K: k(x, bits: 5)
    case .q6_K: q6_K(x)
    default: q8_0(x)
    }
  }

  private func little(_ half: Float16) -> [UInt8] { withUnsafeBytes(of: half.bitPattern.littleEndian) { Array($0) } }

  private func peak(_ x: some Sequence<Float>) -> Float { x.map { abs($0) }.max() ?? 0 }

  private func code(_ x: Float, _ step: Float, _ range: ClosedRange<Float>) -> Int {
    step == 0 ? 0 : Int(max(range.lowerBound, min(range.upperBound, (x / step).rounded())))
  }

  private func q8_0(_ x: [Float]) -> [UInt8] {
    let scale = Float16(peak(x) / 127)
    return little(scale) + x.map { UInt8(bitPattern: Int8(code($0, Float(scale), -127...127))) }
  }

  private func q4_0(_ x: [Float]) -> [UInt8] {
    let scale = Float16(peak(x) / 7)
    let codes = x.map { UInt8(code($0, Float(scale), -8...7) + 8) }
    return little(scale) + (0..<16).map { codes[$0] | codes[$0 + 16] << 4 }
  }

  /// Eight groups with a scale and a minimum of 6 bits each.
  private func k(_ x: [Float], bits: Int) -> [UInt8] {
    let top = Float(1 << bits - 1)
    let groups = (0..<8).map { x[$0 * 32..<$0 * 32 + 32] }
    let minima = groups.map { max(0, -($0.min() ?? 0)) }
    let steps = zip(groups, minima).map { (($0.max() ?? 0) + $1) / top }
    let scale = Float16((steps.max() ?? 0) / 63), base = Float16((minima.max() ?? 0) / 63)
    let s = steps.map { UInt8(code($0, Float(scale), 0...63)) }, m = minima.map { UInt8(code($0, Float(base), 0...63)) }
    let codes = groups.indices.flatMap { group in
      groups[group].map {
        UInt8(code($0 + Float(base) * Float(m[group]), Float(scale) * Float(s[group]), 0...top))
      }
    }
    var bytes = little(scale) + little(base)
    bytes += (0..<4).map { s[$0] | (s[$0 + 4] >> 4) << 6 } + (0..<4).map { m[$0] | (m[$0 + 4] >> 4) << 6 }
    bytes += (4..<8).map { s[$0] & 15 | m[$0] << 4 }
    if bits == 5 { bytes += (0..<32).map { i in (0..<8).reduce(UInt8(0)) { $0 | (codes[$1 * 32 + i] >> 4) << $1 } } }
    for pair in 0..<4 {
      bytes += (0..<32).map { codes[pair * 64 + $0] & 15 | codes[pair * 64 + 32 + $0] << 4 }
    }
    return bytes
  }

  private func q6_K(_ x: [Float]) -> [UInt8] {
    let steps = (0..<16).map { peak(x[$0 * 16..<$0 * 16 + 16]) / 31 }
    let scale = Float16((steps.max() ?? 0) / 127)
    let scales = steps.map { code($0, Float(scale), 0...127) }
    let codes = x.indices.map { UInt8(code(x[$0], Float(scale) * Float(scales[$0 / 16]), -32...31) + 32) }
    var low: [UInt8] = [], high: [UInt8] = []
    for half in [0, 128] {
      low += (0..<64).map { codes[half + $0] & 15 | codes[half + 64 + $0] << 4 }
      high += (0..<32).map { i in (0..<4).reduce(UInt8(0)) { $0 | (codes[half + 32 * $1 + i] >> 4) << (2 * $1) } }
    }
    return low + high + scales.map { UInt8($0) } + little(scale)
  }
}
