import Foundation
import Harness
import Tensor

extension Operations {
  /// `x · weightᵀ + bias`: x `[m, k]`, weight `[n, k]`. `bf16` has every tensor in bf16, `mixed` bf16 weights and `f32`
  /// activations, as the layers of a bf16 checkpoint do; `f16` has f16 weights and `f32` activations.
  @Sendable static func linear(_ one: Case) throws -> Workload {
    let m = try one.size("m"), k = try one.size("k"), n = try one.size("n")
    let weightType: DType = one.dtype == "f32" ? .f32 : one.dtype == "f16" ? .f16 : .bf16
    let activationType: DType = one.dtype == "bf16" ? .bf16 : .f32
    let x = Operand([m, k], seed: 1, dtype: activationType)
    let weight = Operand([n, k], seed: 2, scale: 0.05, dtype: weightType)
    let bias = Operand([n], seed: 3, dtype: weightType)
    // Below some twenty rows the weights cannot be read as fast as they could be multiplied.
    let limit: Workload.Limit =
      m <= 16 ? .reading(Double(weight.tensor.byteCount)) : arithmetic(2 * Double(m) * Double(k) * Double(n), one)
    return workload(
      limit: limit, inputs: [x, weight, bias],
      output: (activationType, [m, n]), tolerance: one.dtype == "f32" ? 1e-5 : 1e-2,
      run: { .linear(x.tensor, weight: weight.tensor, bias: bias.tensor, outputDType: activationType) },
      expected: { index in
        let row = index / n, column = index % n
        return (0..<k).reduce(bias[column]) { $0 + x[row * k + $1] * weight[column * k + $1] }
      })
  }

  /// Convolution 3 x 3, padding 1, as in the image decoder: x `[1, in, size, size]`, weight `[out, in, 3, 3]`. `bf16` has bf16
  /// weights and `f32` activations.
  @Sendable static func conv2d(_ one: Case) throws -> Workload {
    let dtype = try dtype(one, among: [.f32, .bf16])
    let inputs = try one.size("in"), outputs = try one.size("out"), size = try one.size("size")
    let x = Operand([1, inputs, size, size], seed: 1)
    let weight = Operand([outputs, inputs, 3, 3], seed: 2, scale: 0.05, dtype: dtype)
    let bias = Operand([outputs], seed: 3)
    return workload(
      limit: arithmetic(2 * 9 * Double(inputs * outputs) * Double(size * size), one), inputs: [x, weight, bias],
      output: (.f32, [1, outputs, size, size]), tolerance: dtype == .f32 ? 1e-4 : 1e-2,
      run: { .conv2d(x.tensor, weight: weight.tensor, bias: bias.tensor, padding: 1) },
      expected: { index in
        let channel = index / (size * size), row = index / size % size, column = index % size
        var sum = bias[channel]
        for input in 0..<inputs {
          for tap in 0..<9 {
            let y = row + tap / 3 - 1, z = column + tap % 3 - 1
            guard (0..<size).contains(y), (0..<size).contains(z) else { continue }
            sum += x[(input * size + y) * size + z] * weight[(channel * inputs + input) * 9 + tap]
          }
        }
        return sum
      })
  }

  /// Unmasked attention: query `[1, heads, queries, width]`, key and value `[1, heads, keys, width]`, scale 1/√width.
  @Sendable static func attention(_ one: Case) throws -> Workload {
    let dtype = try dtype(one, among: [.f32, .bf16])
    let heads = try one.size("heads"), width = try one.size("width")
    let queries = try one.size("queries"), keys = try one.size("keys")
    let q = Operand([1, heads, queries, width], seed: 1, scale: 2, dtype: dtype)
    let k = Operand([1, heads, keys, width], seed: 2, scale: 2, dtype: dtype)
    let v = Operand([1, heads, keys, width], seed: 3, dtype: dtype)
    let precision: AttentionPrecision = dtype == .f32 ? .f32 : .bf16
    return workload(
      limit: arithmetic(4 * Double(heads * queries) * Double(keys * width), one), inputs: [q, k, v],
      output: (dtype, [1, heads, queries, width]), tolerance: dtype == .f32 ? 1e-5 : 2e-2,
      run: {
        scaledDotProductAttention(
          query: q.tensor, key: k.tensor, value: v.tensor, precision: precision, output: dtype)
      },
      expected: { index in
        let row = index / width, head = row / queries, column = index % width
        var total = 0.0, sum = 0.0
        for key in 0..<keys {
          let place = (head * keys + key) * width
          let logit = (0..<width).reduce(0.0) { $0 + q[row * width + $1] * k[place + $1] } / Double(width).squareRoot()
          total += exp(logit)
          sum += exp(logit) * v[place + column]
        }
        return sum / total
      })
  }
}
