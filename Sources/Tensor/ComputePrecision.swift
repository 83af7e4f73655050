import Synchronization

/// How products with weights narrower than `f32` may be formed. Sums are `f32` always; products with `f32` weights take
/// their operands as they are.
///
/// A property of a call, never of its number of rows: a row has the same bits in any company under each of them.
public enum ComputePrecision: String, Sendable, Hashable, CaseIterable {
  /// Activations and weights as they are, widened to `f32`.
  case float
  /// Activations, and block-quantised weights as they are unpacked, may be rounded to `bf16` where the instruction set gains
  /// from it (`amx`, `avx512bf16`); elsewhere as `.float`. Attention that asks for `AttentionPrecision.bf16` gets it.
  case bf16

  /// The precision of the operations that are called here.
  public static var current: ComputePrecision { override ?? standard }

  /// What holds where `with(_:_:)` sets nothing else: `bf16` unless a program changes it, as the command line does.
  public static var standard: ComputePrecision {
    get { standardValue.withLock { $0 } }
    set { standardValue.withLock { $0 = newValue } }
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
  private static let standardValue = Mutex(ComputePrecision.bf16)
}
