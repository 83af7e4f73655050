import Tensor
import TestSupport
import Testing

/// Everything this module computes, against transformers and diffusers.
@Suite struct ModelsGoldenTests {
  /// What is computed runs on every instruction set; schedules are the same on all of them.
  static let runs: [GoldenRun] = Golden.runs(ModelsKind.self).filter {
    $0.kernels.name == Kernels.current.name || ModelsKind(rawValue: $0.golden.kind)?.dependsOnKernels == true
  }

  @Test(arguments: runs) func matchesReference(_ run: GoldenRun) throws {
    try Kernels.with(run.kernels) { try check(run.golden) }
  }

  private func check(_ golden: GoldenCase) throws {
    switch try golden.kind(ModelsKind.self) {
    case .schedulerFlowEuler: try checkFlowEuler(golden)
    case .schedulerCogVideoXDDIM: try checkCogVideoXDDIM(golden)
    case .schedulerCogVideoXDPM: try checkCogVideoXDPM(golden)
    case .block: try expectOutputs(golden, blockOutputs(golden))
    case .blockGradient: try expectOutputs(golden, blockGradients(golden))
    case .transformerGradient: try expectOutputs(golden, transformerGradients(golden))
    case .fluxTransformer: try expectOutputs(golden, fluxOutputs(golden))
    case .sd3Transformer: try expectOutputs(golden, sd3Outputs(golden))
    case .cogVideoXTransformer: try expectOutputs(golden, cogVideoXOutputs(golden))
    case .sd3PromptAssembly: try expectOutputs(golden, sd3PromptOutputs(golden))
    case .clipText: try expectOutputs(golden, clipOutputs(golden))
    case .t5Encoder: try expectOutputs(golden, t5Outputs(golden))
    case .autoencoderKL: try expectOutputs(golden, autoencoderOutputs(golden))
    case .autoencoderKLCogVideoX: try expectOutputs(golden, videoAutoencoderOutputs(golden))
    case .pipeline, .imageToVideo: try checkPipeline(golden)
    case .pipelineWithoutT5: try checkPipelineWithoutT5(golden)
    case .imageToImage: try checkImageToImage(golden)
    }
  }
}

extension ModelsKind {
  var dependsOnKernels: Bool {
    switch self {
    case .block, .blockGradient, .transformerGradient, .fluxTransformer, .sd3Transformer, .cogVideoXTransformer,
      .clipText, .t5Encoder, .autoencoderKL,
      .autoencoderKLCogVideoX, .pipeline,
      .pipelineWithoutT5, .imageToImage, .imageToVideo:
      true
    default: false
    }
  }
}
