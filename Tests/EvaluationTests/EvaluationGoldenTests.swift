import Tensor
import TestSupport
import Testing

/// Metrics, against scikit-learn. They are counts and sorts, the same on every instruction set.
@Suite struct EvaluationGoldenTests {
  @Test(arguments: Golden.cases(EvaluationKind.self)) func matchesReference(_ golden: GoldenCase) throws {
    try expectOutputs(golden, outputs(of: golden))
  }

  private func outputs(of golden: GoldenCase) throws -> [String: Tensor] {
    switch try golden.kind(EvaluationKind.self) {
    case .averagePrecision: try averagePrecisionCase(golden)
    case .imageAveragePrecision: try imageAveragePrecisionCase(golden)
    case .classCounts: try classCountsCase(golden)
    case .binarySegmentation: try binarySegmentationCase(golden)
    }
  }
}
