import Tensor
import Testing

/// Runs a test with `ComputePrecision.float`: differences between two passes are then those of their inputs, not of what
/// was rounded on the way.
package struct ExactProducts: TestTrait, SuiteTrait, TestScoping {
  package var isRecursive: Bool { true }

  package func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await ComputePrecision.with(.float) { try await function() }
  }
}

extension Trait where Self == ExactProducts {
  package static var exactProducts: Self { Self() }
}
