import Tensor

/// Makes up a normally distributed weight for every name it is asked for.
///
/// A weight depends on the seed and its name only, not on the order of the questions. Matrices are scaled by
/// `1 / sqrt(inputs)` so that activations keep their size; one-axis weights that end in `weight` (norm scales) are
/// around 1.
public struct RandomWeights: GeneratedWeights {
  public let seed: UInt64
  /// The element type of matrices; vectors are `f32`.
  public let dtype: DType

  public init(seed: UInt64 = 0, dtype: DType = .f32) {
    self.seed = seed
    self.dtype = dtype
  }

  public func tensor(_ name: String, shape: [Int]) -> Tensor {
    var generator = Generator(seed: seed ^ RandomWeights.hash(name))
    let values = generator.randn(shape)
    if shape.count < 2 { return name.hasSuffix("weight") ? values * 0.1 + 1 : values * 0.1 }
    let inputs = shape.dropFirst().reduce(1, *)
    return (values * (1 / Float(max(1, inputs)).squareRoot())).converted(to: dtype)
  }

  /// FNV-1a, because `Hasher` differs from run to run.
  private static func hash(_ name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
