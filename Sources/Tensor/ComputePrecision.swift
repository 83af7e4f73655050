import CKernels
import Synchronization

/// How products with weights narrower than `f32` may be formed. Sums are `f32` always; products with `f32` weights take
/// their operands as they are.
///
/// A property of a call, never of its number of rows: a row has the same bits in any company under each of them.
public enum ComputePrecision: String, Sendable, Hashable, CaseIterable {
  /// Activations and weights as they are, widened to `f32`.
  case float
  /// Activations, and block-quantised weights as they are unpacked, may be rounded to `bf16` where the instruction set
  /// gains from it (`avx512bf16` and `amx`, in convolutions too; blocks only on `amx`); elsewhere as `.float`. Attention
  /// that asks for `AttentionPrecision.bf16` gets it.
  case bf16
  /// Products with weights in blocks (`Q8_0`, `Q4_0`, `Q4_K`, `Q5_K`, `Q6_K`) are formed in integers: activations are rounded
  /// to 8 bits, a scale for every 32 neighbours of a row, and meet the weights' codes as they are. What is not in blocks
  /// as with `.bf16`.
  ///
  /// A product of evenly spread numbers then differs from `.float` by 0.5 % (root mean square), whatever the format.
  case int8
  /// As `.int8` with weights of fewer than eight bits, which is the faster where a CPU multiplies bytes at half the rate of
  /// others; `Q8_0` as with `.bf16`.
  case int8Narrow = "int8-narrow"

  /// The precision of the operations that are called here.
  public static var current: ComputePrecision { override ?? standard }

  /// What holds where `with(_:_:)` sets nothing else: `automatic` unless a program changes it, as the command line does.
  public static var standard: ComputePrecision {
    get { standardValue.withLock { $0 } ?? automatic }
    set { standardValue.withLock { $0 = newValue } }
  }

  /// The fastest of them with the kernels in use here. The embedded models' pictures, with transformers in blocks, stay
  /// within 25 dB (peak signal to noise) of those that `.float` makes from the same weights, and within 45 dB on average.
  public static var automatic: ComputePrecision {
    switch Kernels.current.name {
    case "amx": .bf16
    case "avx2" where ck_isa_has_slow_bytes(): .int8Narrow
    default: .int8
    }
  }

  /// Whether products with weights in such blocks, of the formats named at `int8`, are formed in integers.
  public func formsIntegers(with format: QuantizedMatrix.Format) -> Bool {
    self == .int8 || self == .int8Narrow && format != .q8_0
  }

  /// Runs `body` with this precision on the calling task.
  public static func with<Result>(_ precision: ComputePrecision, _ body: () throws -> Result) rethrows -> Result {
    try $override.withValue(precision, operation: body)
  }

  /// The form of `with(_:_:)` for what awaits.
  public static func with<Result>(
    _ precision: ComputePrecision, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
  ) async rethrows -> Result {
    try await $override.withValue(precision, operation: body, isolation: isolation)
  }

  @TaskLocal private static var override: ComputePrecision?
  private static let standardValue = Mutex<ComputePrecision?>(nil)
}
