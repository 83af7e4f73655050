import Tensor

/// A two-dimensional convolution.
///
/// Source: `torch.nn.Conv2d`.
public struct Conv2d: Sendable {
  /// `[outputs, inputs, kernelHeight, kernelWidth]`
  public var weight: Tensor
  /// `[outputs]`
  public var bias: Tensor?
  public var stride: Int
  public var padding: Int
  /// Zeros below and to the right; as many as above and to the left unless given.
  public var paddingAfter: PerAxis?

  public init(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, paddingAfter: PerAxis? = nil,
    bias: Bool = true, _ w: Weights
  ) {
    weight = w.tensor("weight", outputs, inputs, kernel, kernel)
    self.bias = bias ? w.tensor("bias", outputs) : nil
    self.stride = stride
    self.padding = padding
    self.paddingAfter = paddingAfter
  }

  /// - Parameters:
  ///   - x: `[batch, inputs, height, width]`
  ///   - residual: added to the result in the same pass, of the result's shape
  public func callAsFunction(_ x: Tensor, residual: Tensor? = nil) -> Tensor {
    Tensor.conv2d(
      x, weight: weight, bias: bias, stride: PerAxis(stride), padding: PerAxis(padding), paddingAfter: paddingAfter,
      residual: residual)
  }
}

/// A three-dimensional convolution that sees no later frame: the first frame is repeated in front, or the last frames
/// of the chunk before are.
///
/// Source: diffusers `CogVideoXCausalConv3d` with constant padding.
public struct CausalConv3d: Sendable {
  /// `[outputs, inputs, kernelFrames, kernelHeight, kernelWidth]`
  public var weight: Tensor
  /// `[outputs]`
  public var bias: Tensor
  public var stride: Int

  public init(_ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, _ w: Weights) {
    weight = w["conv"].tensor("weight", outputs, inputs, kernel, kernel, kernel)
    bias = w["conv"].tensor("bias", outputs)
    self.stride = stride
  }

  /// - Parameters:
  ///   - x: `[batch, inputs, frames, height, width]`
  ///   - cache: what the call on the chunk before left; nil on the first chunk
  /// - Returns: the result and the cache for the next chunk, the last `kernelFrames - 1` input frames
  public func callAsFunction(_ x: Tensor, cache: Tensor? = nil) -> (output: Tensor, cache: Tensor?) {
    let kernel = weight.shape[2], spatial = (weight.shape[3] - 1) / 2
    var input = x
    if kernel > 1 {
      let first = x.narrow(2, from: 0, count: 1)
      let front = cache.map { [$0] } ?? [Tensor](repeating: first, count: kernel - 1)
      input = concatenated(front + [x], axis: 2)
    }
    let output = Tensor.conv3d(
      input, weight: weight, bias: bias, stride: PerAxis(stride), padding: [0, spatial, spatial])
    let frames = input.shape[2]
    let next = kernel > 1 ? input.narrow(2, from: frames - (kernel - 1), count: kernel - 1) : nil
    return (output, next)
  }
}
