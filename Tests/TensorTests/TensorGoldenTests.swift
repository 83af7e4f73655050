import Tensor
import TestSupport
import Testing

/// Everything this module computes, against PyTorch and Pillow.
@Suite struct TensorGoldenTests {
  @Test(arguments: Golden.runs(TensorKind.self)) func matchesReference(_ run: GoldenRun) throws {
    try Kernels.with(run.kernels) { try check(run.golden) }
  }

  @Test func everyCaseIsRecognised() {
    #expect(!Golden.all.isEmpty, "no case below \(Golden.rootPath)")
    for golden in Golden.all where !recognisedKinds.contains(golden.kind) {
      Issue.record("\(golden.name): nobody recognises kind '\(golden.kind)'")
    }
  }

  private func check(_ golden: GoldenCase) throws {
    switch try golden.kind(TensorKind.self) {
    case .linear: try checkLinear(golden)
    case .conv2d: try checkConvolution(golden, axes: 2)
    case .conv3d: try checkConvolution(golden, axes: 3)
    case .activation: try checkActivations(golden)
    case .layerNorm: try checkLayerNorm(golden)
    case .rmsNorm: try checkRMSNorm(golden)
    case .groupNorm: try checkGroupNorm(golden)
    case .ropeFlux: try checkRotary(golden, tokenAxis: 1)
    case .ropeCogVideoX: try checkRotary(golden, tokenAxis: 2)
    case .sdpa: try checkAttention(golden)
    case .torchRandom: try checkRandomNumbers(golden)
    case .torchResize: try checkTorchResize(golden)
    case .pillowResize: try checkPillowResize(golden)
    }
  }
}
