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

/// A three-dimensional convolution.
///
/// Source: `torch.nn.Conv3d`; with kernels of one frame, `torch.nn.Conv2d` on every frame.
public struct Conv3d: Sendable {
  /// `[outputs, inputs, kernelFrames, kernelHeight, kernelWidth]`
  public var weight: Tensor
  /// `[outputs]`
  public var bias: Tensor

  public init(_ inputs: Int, _ outputs: Int, kernel: Int, _ w: Weights) {
    weight = w.tensor("weight", outputs, inputs, kernel, kernel, kernel)
    bias = w.tensor("bias", outputs)
  }

  /// A two-dimensional layer's weights, for video whose frames it sees one by one.
  public init(perFrame inputs: Int, _ outputs: Int, kernel: Int, _ w: Weights) {
    weight = w.tensor("weight", outputs, inputs, kernel, kernel).unsqueezed(2)
    bias = w.tensor("bias", outputs)
  }

  /// - Parameter x: `[batch, inputs, frames, height, width]`
  public func callAsFunction(
    _ x: Tensor, stride: PerAxis = 1, padding: PerAxis = 0, paddingAfter: PerAxis? = nil
  ) -> Tensor {
    Tensor.conv3d(x, weight: weight, bias: bias, stride: stride, padding: padding, paddingAfter: paddingAfter)
  }
}

/// A three-dimensional convolution that sees no later frame: the first frame is repeated in front, or the last frames
/// of the part before are.
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
  ///   - cache: what the call on the part before left; nil for the first part. The call leaves there what the next part
  ///     needs: the last `kernelFrames - 1` input frames.
  ///   - isLast: no part follows: the cache is emptied, and nothing is copied
  ///   - residual: added to the result in the same pass, of the result's shape
  public func callAsFunction(
    _ x: Tensor, cache: inout Tensor?, isLast: Bool = false, residual: Tensor? = nil
  ) -> Tensor {
    let past = weight.shape[2] - 1, spatial = (weight.shape[3] - 1) / 2
    let output = Tensor.causalConv3d(
      x, weight: weight, bias: bias, past: cache.map { .frames($0) } ?? .firstRepeated(past), stride: [stride, 1, 1],
      padding: (spatial, spatial), residual: residual)
    cache = isLast || past == 0 ? nil : lastFrames(past, of: x, after: cache)
    return output
  }

  /// Copied, so that the cache does not keep all of `x` alive.
  private func lastFrames(_ count: Int, of x: Tensor, after cache: Tensor?) -> Tensor {
    let frames = x.shape[2]
    if frames >= count { return x.narrow(2, from: frames - count, count: count).copied() }
    let before = cache ?? concatenated([Tensor](repeating: x.narrow(2, from: 0, count: 1), count: count), axis: 2)
    return concatenated([before.narrow(2, from: frames, count: count - frames), x], axis: 2)
  }
}
