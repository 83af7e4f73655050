import CKernels
import Glibc

/// The kernels compiled for one instruction set.
///
/// The best set of this CPU is chosen at run time; the environment variable `CK_ISA` (`generic`, `avx2`, `avx512`,
/// `avx512bf16`, `amx`) forces another for a whole run, `Kernels.with(_:)` for one closure. Where the CPU has VNNI, integer
/// products of any set use it; `CK_VNNI=0` leaves it out.
public struct Kernels: Sendable, CustomStringConvertible {
  public let name: String
  nonisolated(unsafe) package let table: UnsafePointer<ck_isa>  // points to constant data

  public var description: String { name }

  /// The sets this CPU can run, slowest first. `generic` is always among them.
  public static let available = tables(vnni: getenv("CK_VNNI").map { String(cString: $0) } != "0")

  /// Every set with and without VNNI, for tests: two of the same name compute the same bits.
  package static let variants = available + tables(vnni: false)

  private static func tables(vnni: Bool) -> [Kernels] {
    var tables = [UnsafePointer<ck_isa>?](repeating: nil, count: 8)
    let count = ck_isa_available(&tables, tables.count, vnni)
    return tables.prefix(count).compactMap { $0 }.map { Kernels(name: String(cString: $0.pointee.name), table: $0) }
  }

  public static func named(_ name: String) -> Kernels? { available.first { $0.name == name } }

  /// The set in use here.
  public static var current: Kernels { override ?? preferred }

  /// Runs `body` with this set on the calling task: how tests and benchmarks try every path.
  public static func with<Result>(_ kernels: Kernels, _ body: () throws -> Result) rethrows -> Result {
    try $override.withValue(kernels, operation: body)
  }

  /// The set `with(_:)` has forced here.
  static var forced: Kernels? { override }

  @TaskLocal private static var override: Kernels?

  /// For programs, to call before the first operation: a wrong `CK_ISA` is the user's mistake, which an operation can
  /// only stop on.
  ///
  /// - Throws: `KernelsError` when `CK_ISA` names no set of this CPU
  public static func check() throws { _ = try choice.get() }

  private static let preferred: Kernels = {
    switch choice {
    case .success(let kernels): return kernels
    case .failure(let error): tensorFailure(error.description)
    }
  }()

  private static let choice: Result<Kernels, KernelsError> = {
    guard let best = available.last else { tensorFailure("Kernels: no instruction set, not even generic") }
    guard let forced = getenv("CK_ISA").map({ String(cString: $0) }), !forced.isEmpty else { return .success(best) }
    guard let kernels = named(forced) else {
      return .failure(KernelsError(found: forced, expected: available.map(\.name)))
    }
    return .success(kernels)
  }()
}

/// The environment variable `CK_ISA` names an instruction set that this CPU does not have, or none at all.
public struct KernelsError: Error, Equatable, CustomStringConvertible {
  public let found: String
  /// The sets of this CPU.
  public let expected: [String]

  public var description: String {
    "CK_ISA: '\(found)' is not one of \(expected.joined(separator: ", ")) on this CPU"
  }
}
