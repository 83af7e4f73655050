import Tensor

extension Generator {
  /// Normally distributed numbers, the same at every call.
  public static func draw(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
    var generator = Generator(seed: seed)
    return generator.randn(shape)
  }
}
