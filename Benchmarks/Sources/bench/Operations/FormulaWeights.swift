import Harness
import NN
import Tensor

/// Weights by the formula of `Inputs`, with a seed from the name, the same on the peers' side: matrices are spread so that
/// activations keep their size, norm scales lie around 1.
struct FormulaWeights: GeneratedWeights {
  let dtype: DType

  func tensor(_ name: String, shape: [Int]) -> Tensor {
    let inputs = shape.dropFirst().reduce(1, *), isMatrix = shape.count > 1
    let scale: Float = isMatrix ? (3 / Float(inputs)).squareRoot() : 0.1
    let values = Tensor(
      Inputs.values(shape.reduce(1, *), seed: FormulaWeights.seed(name), scale: scale), shape: shape)
    return (!isMatrix && name.hasSuffix("weight") ? values + 1 : values).converted(to: dtype)
  }

  /// FNV-1a.
  private static func seed(_ name: String) -> UInt32 {
    name.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }
}
