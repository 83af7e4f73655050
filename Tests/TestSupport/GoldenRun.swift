import Tensor
import Testing

/// One case on one instruction set.
public struct GoldenRun: Sendable, CustomTestStringConvertible {
  public let golden: GoldenCase
  public let kernels: Kernels

  public init(golden: GoldenCase, kernels: Kernels) {
    self.golden = golden
    self.kernels = kernels
  }

  public var testDescription: String { "\(golden.name) (\(kernels))" }
}

extension Golden {
  /// The cases of these kinds, each on every instruction set of this machine.
  public static func runs<Kind: GoldenKind>(_ kinds: Kind.Type) -> [GoldenRun] {
    cases(kinds).flatMap { golden in Kernels.available.map { GoldenRun(golden: golden, kernels: $0) } }
  }
}

/// Expects every output of the case to be computed, and close.
public func expectOutputs(_ golden: GoldenCase, _ actual: [String: Tensor]) throws {
  let outputs = try golden.outputs()
  #expect(!outputs.isEmpty, "\(golden.name) has no outputs")
  for (name, expected) in outputs.sorted(by: { $0.key < $1.key }) {
    let result = try #require(actual[name], "\(golden.name) has an output '\(name)' that is not computed")
    expectClose(result, expected, golden.tolerance, "\(golden.name) \(name)")
  }
}
