import Formats
import Foundation
import Harness
import Tensor

extension Operations {
  /// `x · weightᵀ` with a weight in ggml's blocks (`q8_0`, `q4_0`, `q4_K`, `q5_K`, `q6_K`): x `[m, k]`, weight `[n, k]`.
  @Sendable static func linearQuantized(_ one: Case) throws -> Workload {
    guard let format = QuantizedMatrix.Format.allCases.first(where: { "\($0)" == one.dtype }) else {
      throw BenchmarkError("case '\(one.name)': '\(one.dtype)' is no format of blocks")
    }
    let m = try one.size("m"), k = try one.size("k"), n = try one.size("n")
    let x = Operand([m, k], seed: 1), weight = try BlockFile(format, rows: n, columns: k).matrix()
    let operations = 2 * Double(m) * Double(k) * Double(n)
    let precision = ComputePrecision.current
    let inIntegers = precision.formsIntegers(with: format)
    let arithmetic: Workload.Limit = inIntegers ? .int8Arithmetic(operations) : .f32Arithmetic(operations)
    return workload(
      limit: m <= 16 ? .reading(Double(weight.byteCount)) : arithmetic, inputs: [x],
      output: (.f32, [m, n]), tolerance: precision == .float ? 1e-5 : 2e-2,
      run: { Tensor.linear([LinearInput(x.tensor)], weight: weight)[0] },
      expected: { index in
        let row = index / n, column = index % n
        let values = weight.dequantized(rows: column..<column + 1).reshaped([k]).scalars(as: Float.self)
        return (0..<k).reduce(0.0) { $0 + x[row * k + $1] * Double(values[$1]) }
      })
  }
}

/// A GGUF file of our own making with one matrix: random codes, scales between 2^-7 and 2^-3.
private struct BlockFile {
  let format: QuantizedMatrix.Format
  let rows, columns: Int

  init(_ format: QuantizedMatrix.Format, rows: Int, columns: Int) throws {
    guard columns % format.blockSize == 0 else {
      throw BenchmarkError("rows of \(columns) values are no whole blocks of \(format.blockSize)")
    }
    (self.format, self.rows, self.columns) = (format, rows, columns)
  }

  /// The matrix of a file that is removed at once: its mapping stays.
  func matrix() throws -> QuantizedMatrix {
    let name = "bench-\(ProcessInfo.processInfo.processIdentifier)-\(format).gguf"
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
    defer { try? FileManager.default.removeItem(at: url) }
    try Data(header + blocks).write(to: url)
    return try GGUFFile(path: url.path).quantized("w")
  }

  /// Version 3, one tensor named `w`, no metadata; the data begin at a multiple of 32.
  private var header: [UInt8] {
    func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    var bytes = Array("GGUF".utf8) + little(3 as UInt32) + little(1 as UInt64) + little(0 as UInt64)
    bytes += little(1 as UInt64) + Array("w".utf8) + little(2 as UInt32)
    bytes += little(UInt64(columns)) + little(UInt64(rows)) + little(format.rawValue) + little(0 as UInt64)
    return bytes + [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
  }

  private var blocks: [UInt8] {
    let count = rows * columns / format.blockSize * format.blockBytes
    var bytes = (0..<count).map { UInt8(truncatingIfNeeded: Int(Inputs.value(at: $0, seed: 2) * 0x1p23) >> 7) }
    for block in stride(from: 0, to: count, by: format.blockBytes) {
      for at in scales { bytes[block + at + 1] = bytes[block + at + 1] & 0x8F | 0x20 }
    }
    return bytes
  }

  /// Where a block has half-precision numbers.
  private var scales: [Int] {
    switch format {
    case .q4_0, .q5_0, .q8_0: [0]
    case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
    case .q2_K: [80, 82]
    case .q3_K: [108]
    case .q6_K: [208]
    }
  }
}
