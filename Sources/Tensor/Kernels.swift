import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// The kernels compiled for one instruction set.
///
/// The best set of this CPU is chosen at run time; the environment variable `CK_ISA` (`generic`, `avx2`, `avx512`,
/// `avx512bf16`) forces another for a whole run, `Kernels.with(_:)` for one closure.
public struct Kernels: Sendable, CustomStringConvertible {
  public let name: String
  nonisolated(unsafe) package let table: UnsafePointer<ck_isa>  // points to constant data

  public var description: String { name }

  /// The sets this CPU can run, slowest first. `generic` is always among them.
  public static let available: [Kernels] = {
    var tables = [UnsafePointer<ck_isa>?](repeating: nil, count: 8)
    let count = ck_isa_available(&tables, tables.count)
    return tables.prefix(count).compactMap { $0 }.map { Kernels(name: String(cString: $0.pointee.name), table: $0) }
  }()

  public static func named(_ name: String) -> Kernels? { available.first { $0.name == name } }

  /// The set in use here.
  public static var current: Kernels { override ?? preferred }

  /// Runs `body` with this set on the calling task: how tests and benchmarks try every path.
  public static func with<Result>(_ kernels: Kernels, _ body: () throws -> Result) rethrows -> Result {
    try $override.withValue(kernels, operation: body)
  }

  @TaskLocal private static var override: Kernels?

  private static let preferred: Kernels = {
    guard let best = available.last else { tensorFailure("Kernels: no instruction set, not even generic") }
    guard let forced = getenv("CK_ISA").map({ String(cString: $0) }), !forced.isEmpty else { return best }
    guard let kernels = named(forced) else {
      tensorFailure("CK_ISA: '\(forced)' is not one of \(available.map(\.name).joined(separator: ", ")) on this CPU")
    }
    return kernels
  }()
}
