import Tensor
import TestSupport
import Testing

/// Everything this module computes, against PyTorch, Pillow, NumPy, safetensors and gguf.
@Suite struct TensorGoldenTests {
  /// Instruction sets to run a case on: all of this machine for a case that is computed, one for files.
  struct Run: Sendable, CustomTestStringConvertible {
    let golden: GoldenCase
    let kernels: Kernels
    var testDescription: String { "\(golden.name) (\(kernels))" }
  }

  static let runs: [Run] = Golden.cases(TensorKind.self).flatMap { golden in
    let isFile = TensorKind(rawValue: golden.kind)?.isFile ?? false
    return (isFile ? [Kernels.current] : Kernels.available).map { Run(golden: golden, kernels: $0) }
  }

  @Test(arguments: runs) func matchesReference(_ run: Run) throws {
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

/// Expects every output of the case to be there and close.
func expectOutputs(_ golden: GoldenCase, _ actual: [String: Tensor]) throws {
  for (name, expected) in try golden.outputs() {
    let result = try #require(actual[name], "\(golden.name) has an output '\(name)' that is not computed")
    expectClose(result, expected, golden.tolerance, "\(golden.name) \(name)")
  }
}
