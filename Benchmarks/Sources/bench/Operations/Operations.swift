import Harness
import Tensor

/// From a case to something that runs: one function per operation of `cases.json`.
enum Operations {
  static func workload(_ one: Case) throws -> Workload {
    guard let make = table[one.operation] else {
      throw BenchmarkError("case '\(one.name)': there is no operation '\(one.operation)'")
    }
    return try make(one)
  }

  private static let table: [String: @Sendable (Case) throws -> Workload] = [
    "linear": linear,
    "linear-blocks": linearQuantized,
    "attention": attention,
    "conv2d": conv2d,
    "norm-modulate": normModulate,
    "gelu": gelu,
    "softmax": softmax,
    "rope": rope,
    "convert": convert,
    "transpose": transpose,
    "topk": topK,
    "svd": svd,
    "eigh": eigh,
    "qr": qr,
    "safetensors": safetensors,
    "flux-double": fluxDouble,
    "flux-double-gradient": fluxDoubleGradient,
    "flux-single": fluxSingle,
    "sd3-joint": sd3Joint,
    "cogvideox-block": cogVideoXBlock,
    "image-decoder": imageDecoder,
    "cogvideox-decoder": cogVideoXDecoder,
  ]

  /// An operation with one tensor as its result.
  ///
  /// - Parameters:
  ///   - output: type and shape of the result
  ///   - tolerance: of a probed value, relative to the largest
  ///   - expected: the right value at a position of the result, from a slow computation in `f64`
  static func workload(
    limit: Workload.Limit, inputs: [Operand], output: (dtype: DType, shape: [Int]), tolerance: Double,
    run: @escaping () -> Tensor, expected: @escaping (Int) -> Double
  ) -> Workload {
    let bytes = output.shape.reduce(output.dtype.size, *) + inputs.reduce(0) { $0 + $1.tensor.byteCount }
    return Workload(
      limit: limit, inputOutputBytes: bytes, tolerance: tolerance, run: { keep(run()) },
      probe: {
        let result = run()
        guard result.shape == output.shape, result.dtype == output.dtype else {
          throw BenchmarkError(
            "the result is \(result.dtype) \(result.shape), expected \(output.dtype) \(output.shape)")
        }
        let flat = result.contiguous().reshaped([result.count])
        return Inputs.probedIndices(result.count).map { index in
          Probe(actual: Double(flat.narrow(0, from: index, count: 1).item), expected: expected(index))
        }
      })
  }

  /// The limit for a product whose operands have the case's type.
  static func arithmetic(_ operations: Double, _ one: Case) -> Workload.Limit {
    one.dtype == "f32" ? .f32Arithmetic(operations) : .bf16Arithmetic(operations)
  }

  /// The element type of a case that has only one.
  static func dtype(_ one: Case, among allowed: [DType]) throws -> DType {
    guard let dtype = DType(rawValue: one.dtype), allowed.contains(dtype) else {
      throw BenchmarkError("case '\(one.name)': dtype must be one of \(allowed)")
    }
    return dtype
  }
}

/// An input: a tensor of `Inputs.values`, and the same numbers, rounded as in the tensor, for a reference in `f64`.
struct Operand {
  let tensor: Tensor

  init(_ shape: [Int], seed: UInt32, scale: Float = 1, dtype: DType = .f32) {
    tensor = Tensor(Inputs.values(shape.reduce(1, *), seed: seed, scale: scale), shape: shape).converted(to: dtype)
    let (seed, scale) = (seed, scale)
    switch dtype {
    case .f16: element = { Double(Float(Float16(Inputs.value(at: $0, seed: seed) * scale))) }
    case .bf16: element = { Double(Float(BFloat16(Inputs.value(at: $0, seed: seed) * scale))) }
    default: element = { Double(Inputs.value(at: $0, seed: seed) * scale) }
    }
  }

  /// The value at a row-major position.
  subscript(_ index: Int) -> Double { element(index) }

  private let element: (Int) -> Double
}
