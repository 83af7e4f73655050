import Foundation
import Harness
import Tensor

/// Operations limited by memory: each byte of input and output counts once.
extension Operations {
  /// Layer norm without learned weights, then `* (1 + scale) + shift`: x `[1, rows, columns]`, scale and shift
  /// `[1, 1, columns]`.
  @Sendable static func normModulate(_ one: Case) throws -> Workload {
    let (rows, columns) = try matrixSize(one)
    let x = Operand([1, rows, columns], seed: 1)
    let scale = Operand([1, 1, columns], seed: 2), shift = Operand([1, 1, columns], seed: 3)
    return rowWorkload(
      x, others: [scale, shift], tolerance: 1e-5,
      run: { x.tensor.layerNorm(scale: scale.tensor, shift: shift.tensor, epsilon: 1e-6) },
      expected: { index in
        let start = index / columns * columns, column = index % columns
        let row = (0..<columns).map { x[start + $0] }
        let mean = row.reduce(0, +) / Double(columns)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
        return (row[column] - mean) / (variance + 1e-6).squareRoot() * (1 + scale[column]) + shift[column]
      })
  }

  @Sendable static func gelu(_ one: Case) throws -> Workload {
    let (rows, columns) = try matrixSize(one)
    let x = Operand([rows, columns], seed: 1, scale: 4)
    return rowWorkload(
      x, tolerance: 1e-5, run: { x.tensor.gelu(.tanh) },
      expected: { index in
        let value = x[index]
        return 0.5 * value * (1 + tanh((2 / Double.pi).squareRoot() * (value + 0.044715 * value * value * value)))
      })
  }

  @Sendable static func softmax(_ one: Case) throws -> Workload {
    let (rows, columns) = try matrixSize(one)
    let x = Operand([rows, columns], seed: 1, scale: 4)
    return rowWorkload(
      x, tolerance: 1e-5, run: { x.tensor.softmax(-1) },
      expected: { index in
        let start = index / columns * columns
        return exp(x[index]) / (0..<columns).reduce(0) { $0 + exp(x[start + $1]) }
      })
  }

  /// Rotary embedding of interleaved pairs, as FLUX's: x `[1, heads, tokens, width]`, cosine and sine `[tokens, width]`.
  @Sendable static func rope(_ one: Case) throws -> Workload {
    _ = try dtype(one, among: [.f32])
    let heads = try one.size("heads"), tokens = try one.size("tokens"), width = try one.size("width")
    let x = Operand([1, heads, tokens, width], seed: 1), angles = Operand([tokens, width / 2], seed: 2, scale: 3)
    let angle = { (place: Int) in angles[place / width * (width / 2) + place % width / 2] }
    let cosine = Tensor((0..<tokens * width).map { Float(cos(angle($0))) }, shape: [tokens, width])
    let sine = Tensor((0..<tokens * width).map { Float(sin(angle($0))) }, shape: [tokens, width])
    let bytes = 2 * x.tensor.byteCount + 2 * cosine.byteCount
    return workload(
      limit: .memory(Double(bytes)), inputs: [x], output: (.f32, x.tensor.shape), tolerance: 1e-5,
      run: { x.tensor.applyingRotary(cos: cosine, sin: sine) },
      expected: { index in
        let turn = angle(index % (tokens * width))
        return index % 2 == 0
          ? x[index] * cos(turn) - x[index + 1] * sin(turn) : x[index] * cos(turn) + x[index - 1] * sin(turn)
      })
  }

  /// `f32` to bf16, or bf16 to `f32`.
  @Sendable static func convert(_ one: Case) throws -> Workload {
    let source = try dtype(one, among: [.f32, .bf16]), target: DType = source == .f32 ? .bf16 : .f32
    let x = Operand([try one.size("rows"), try one.size("columns")], seed: 1, dtype: source)
    return rowWorkload(
      x, output: target, tolerance: target == .bf16 ? 0x1p-8 : 0, run: { x.tensor.converted(to: target) },
      expected: { x[$0] })
  }

  /// Two middle axes exchanged, written out: x `[rows, columns, run]` to `[columns, rows, run]`.
  @Sendable static func transpose(_ one: Case) throws -> Workload {
    let dtype = try dtype(one, among: [.f32, .bf16])
    let rows = try one.size("rows"), columns = try one.size("columns"), run = try one.size("run")
    let x = Operand([rows, columns, run], seed: 1, dtype: dtype)
    return workload(
      limit: .memory(Double(2 * x.tensor.byteCount)), inputs: [x], output: (dtype, [columns, rows, run]), tolerance: 0,
      run: { x.tensor.permuted(1, 0, 2).contiguous() },
      expected: { index in
        let (column, row, offset) = (index / (rows * run), index / run % rows, index % run)
        return x[(row * columns + column) * run + offset]
      })
  }

  /// The `count` greatest elements of every row and where they are; the values are checked.
  @Sendable static func topK(_ one: Case) throws -> Workload {
    let dtype = try dtype(one, among: [.f32, .bf16]), count = try one.size("count")
    let rows = try one.size("rows"), columns = try one.size("columns")
    let x = Operand([rows, columns], seed: 1, dtype: dtype)
    var sorted: [Int: [Double]] = [:]
    return workload(
      limit: .reading(Double(x.tensor.byteCount)), inputs: [x], output: (dtype, [rows, count]), tolerance: 0,
      run: { x.tensor.topK(count).values },
      expected: { index in
        let row = index / count
        let descending = sorted[row] ?? (0..<columns).map { x[row * columns + $0] }.sorted(by: >)
        sorted[row] = descending
        return descending[index % count]
      })
  }

  private static func matrixSize(_ one: Case) throws -> (rows: Int, columns: Int) {
    _ = try dtype(one, among: [.f32])
    return (try one.size("rows"), try one.size("columns"))
  }

  /// An operation whose result has `x`'s shape.
  private static func rowWorkload(
    _ x: Operand, others: [Operand] = [], output: DType = .f32, tolerance: Double, run: @escaping () -> Tensor,
    expected: @escaping (Int) -> Double
  ) -> Workload {
    let bytes = ([x] + others).reduce(x.tensor.count * output.size) { $0 + $1.tensor.byteCount }
    return workload(
      limit: .memory(Double(bytes)), inputs: [x] + others, output: (output, x.tensor.shape), tolerance: tolerance,
      run: run, expected: expected)
  }
}
