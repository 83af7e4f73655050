import TestSupport
import Testing

/// Everything this module computes, against transformers and diffusers.
@Suite struct ModelsGoldenTests {
  @Test(arguments: Golden.cases(ModelsKind.self)) func matchesReference(_ golden: GoldenCase) throws {
    switch try golden.kind(ModelsKind.self) {
    case .tokenizer: try TokenizerCase(folder: golden.folder).check()
    case .schedulerFlowEuler: try checkFlowEuler(golden)
    case .schedulerCogVideoXDDIM: try checkCogVideoXDDIM(golden)
    case .schedulerCogVideoXDPM: try checkCogVideoXDPM(golden)
    }
  }
}
