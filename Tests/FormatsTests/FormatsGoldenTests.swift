import Tensor
import TestSupport
import Testing

/// Every file format, against safetensors, NumPy and gguf. Files are read the same way on every instruction set.
@Suite struct FormatsGoldenTests {
  @Test(arguments: Golden.cases(FormatsKind.self)) func matchesReference(_ golden: GoldenCase) throws {
    switch try golden.kind(FormatsKind.self) {
    case .safetensorsFile: try checkSafetensorsFile(golden)
    case .safetensorsMalformed: try checkMalformedSafetensors(golden)
    case .npyFile: try checkNpyFiles(golden)
    case .ggufFile: try checkGGUFFile(golden)
    }
  }
}
