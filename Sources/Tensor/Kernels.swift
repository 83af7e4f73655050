import CKernels
import Glibc

/// The kernels compiled for one instruction set.
///
/// The best set of this CPU is chosen at run time; the environment variable `CK_ISA` (`generic`, `avx2`, `avx512`,
/// `avx512bf16`, `amx`) forces another for a whole run, `Kernels.with(_:)` for one closure. Where the CPU has VNNI, integer
/// products of any set use it; `CK_VNNI=0` leaves it out. Products of few rows read their weights as suits the prefetchers of the
/// CPU, or as `CK_READING` says (`neighbours`, `in-order`, `apart`).
public struct Kernels: Sendable, CustomStringConvertible {
  public let name: String
  nonisolated(unsafe) package let table: UnsafePointer<ck_isa>  // points to constant data
  let reading: ck_reading

  public var description: String { name }

  /// The sets this CPU can run, slowest first. `generic` is always among them.
  public static let available = tables(
    vnni: variable("CK_VNNI") != "0", reading: variable("CK_READING").flatMap { readings[$0] } ?? ck_reading_suitable)

  /// Every set with and without VNNI and with every reading of weights, for tests: two of the same name compute the same bits.
  package static let variants =
    available + tables(vnni: false, reading: ck_reading_suitable)
    + readings.values.flatMap { tables(vnni: true, reading: $0) }

  private static func tables(vnni: Bool, reading: ck_reading) -> [Kernels] {
    var tables = [UnsafePointer<ck_isa>?](repeating: nil, count: 8)
    let count = ck_isa_available(&tables, tables.count, vnni)
    return tables.prefix(count).compactMap { $0 }.map {
      Kernels(name: String(cString: $0.pointee.name), table: $0, reading: reading)
    }
  }

  private static let readings = [
    "neighbours": ck_reading_neighbours, "in-order": ck_reading_in_order, "apart": ck_reading_apart,
  ]

  /// An environment variable; nil when it is not set, or empty.
  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
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

  /// For programs, to call before the first operation: a wrong `CK_ISA` or `CK_READING` is the user's mistake, which an
  /// operation can only stop on.
  ///
  /// - Throws: `KernelsError` when `CK_ISA` names no set of this CPU, or `CK_READING` no reading
  public static func check() throws { _ = try choice.get() }

  private static let preferred: Kernels = {
    switch choice {
    case .success(let kernels): return kernels
    case .failure(let error): tensorFailure(error.description)
    }
  }()

  private static let choice: Result<Kernels, KernelsError> = {
    guard let best = available.last else { tensorFailure("Kernels: no instruction set, not even generic") }
    if let reading = variable("CK_READING"), readings[reading] == nil {
      return .failure(KernelsError(variable: "CK_READING", found: reading, expected: readings.keys.sorted()))
    }
    guard let forced = variable("CK_ISA") else { return .success(best) }
    guard let kernels = named(forced) else {
      return .failure(KernelsError(variable: "CK_ISA", found: forced, expected: available.map(\.name)))
    }
    return .success(kernels)
  }()
}

/// An environment variable that chooses kernels names none: `CK_ISA` an instruction set that this CPU does not have, say.
public struct KernelsError: Error, Equatable, CustomStringConvertible {
  public let variable: String
  public let found: String
  /// What there is on this CPU.
  public let expected: [String]

  public var description: String {
    "\(variable): '\(found)' is not one of \(expected.joined(separator: ", ")) on this CPU"
  }
}
