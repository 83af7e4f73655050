import Tensor

extension QuantizedMatrix {
  /// Blocks of every code there is, or with one byte repeated for all; scales are small numbers, as in a file.
  static func sketch(
    _ format: Format, rows: Int, columns: Int, seed: UInt64 = 1, repeating byte: UInt8? = nil
  ) -> QuantizedMatrix {
    let count = rows * columns / format.blockSize * format.blockBytes
    var state = seed
    var bytes = (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return byte ?? UInt8(truncatingIfNeeded: state >> 56)
    }
    let scales: [Int] =
      switch format {
      case .q4_0, .q5_0, .q8_0: [0]
      case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
      case .q2_K: [80, 82]
      case .q3_K: [108]
      case .q6_K: [208]
      }
    for block in stride(from: 0, to: count, by: format.blockBytes) {
      // Halves between 2^-7 and 2^-3, of either sign.
      for at in scales { bytes[block + at + 1] = bytes[block + at + 1] & 0x8F | 0x20 }
    }
    let tensor = Tensor(scalars: bytes, shape: [count])
    return QuantizedMatrix(format: format, shape: [rows, columns], storage: tensor.storage)
  }
}
