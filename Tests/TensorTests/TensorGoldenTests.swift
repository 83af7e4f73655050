import Tensor
import TestSupport
import Testing

/// Everything this module computes, against PyTorch, Pillow, NumPy, safetensors and gguf.
@Suite struct TensorGoldenTests {
  /// Files are read the same way on every instruction set.
  static let runs: [GoldenRun] = Golden.runs(TensorKind.self).filter {
    $0.kernels.name == Kernels.current.name || TensorKind(rawValue: $0.golden.kind)?.isFile == false
  }

  @Test(arguments: runs) func matchesReference(_ run: GoldenRun) throws {
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
    case .safetensorsFile: try checkSafetensorsFile(golden)
    case .safetensorsMalformed: try checkMalformedSafetensors(golden)
    case .npyFile: try checkNpyFiles(golden)
    case .ggufFile: try checkGGUFFile(golden)
    case .sdpa: try checkAttention(golden)
    case .torchRandom: try checkRandomNumbers(golden)
    case .torchResize: try checkTorchResize(golden)
    case .pillowResize: try checkPillowResize(golden)
    }
  }
}

extension TensorKind {
  /// Whether the case is about reading a file, which is the same on every instruction set.
  var isFile: Bool {
    switch self {
    case .safetensorsFile, .safetensorsMalformed, .npyFile, .ggufFile: true
    default: false
    }
  }
}
