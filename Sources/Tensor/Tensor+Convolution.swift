import CKernels

/// One number per spatial axis, or one for all of them: `2`, `[1, 2]`.
public struct PerAxis: Sendable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
  let values: [Int]

  public init(_ value: Int) { values = [value] }
  public init(_ values: [Int]) { self.values = values }
  public init(integerLiteral value: Int) { values = [value] }
  public init(arrayLiteral values: Int...) { self.values = values }

  func expanded(_ axes: Int, minimum: Int, _ what: String) -> [Int] {
    let expanded = values.count == 1 ? [Int](repeating: values[0], count: axes) : values
    guard expanded.count == axes, expanded.allSatisfy({ $0 >= minimum }) else {
      tensorFailure("\(what) \(values): expected one number or \(axes), none below \(minimum)")
    }
    return expanded
  }
}

extension Tensor {
  /// Two-dimensional cross-correlation as `torch.nn.functional.conv2d`, without storing an im2col matrix; then
  /// `activation`, then `+ residual`.
  ///
  /// - Parameters:
  ///   - x: `[batch, channels, height, width]`
  ///   - weight: `[out channels, channels / groups, kernel height, kernel width]`; `f32`, `bf16` or `f16` in place
  ///   - bias: `[out channels]`
  ///   - padding: zeros before each axis, and after it unless `paddingAfter` says otherwise
  ///   - residual: of the result's shape
  /// - Returns: `[batch, out channels, out height, out width]`, `f32`
  public static func conv2d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: PerAxis = 0,
    paddingAfter: PerAxis? = nil, dilation: PerAxis = 1, groups: Int = 1, activation: Activation = .identity,
    residual: Tensor? = nil
  ) -> Tensor {
    Convolution(
      x, weight, bias, axes: 2, stride: stride, padding: padding, paddingAfter: paddingAfter, dilation: dilation,
      groups: groups
    ).run(activation, residual)
  }

  /// Three-dimensional cross-correlation as `torch.nn.functional.conv3d`.
  ///
  /// - Parameters:
  ///   - x: `[batch, channels, frames, height, width]`
  ///   - weight: `[out channels, channels / groups, kernel frames, kernel height, kernel width]`
  /// - Returns: `[batch, out channels, out frames, out height, out width]`, `f32`
  public static func conv3d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: PerAxis = 1, padding: PerAxis = 0,
    paddingAfter: PerAxis? = nil, dilation: PerAxis = 1, groups: Int = 1, activation: Activation = .identity,
    residual: Tensor? = nil
  ) -> Tensor {
    Convolution(
      x, weight, bias, axes: 3, stride: stride, padding: padding, paddingAfter: paddingAfter, dilation: dilation,
      groups: groups
    ).run(activation, residual)
  }

  /// `conv3d` in which `past` stands before the first frame, without joining the two.
  ///
  /// - Parameters:
  ///   - x: `[batch, channels, frames, height, width]`
  ///   - weight: `[out channels, channels, kernel frames, kernel height, kernel width]`
  ///   - padding: zeros before and after rows and columns
  public static func causalConv3d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, past: PastFrames, stride: PerAxis = 1,
    padding: (rows: Int, columns: Int) = (0, 0), residual: Tensor? = nil
  ) -> Tensor {
    var convolution = Convolution(
      x, weight, bias, axes: 3, stride: stride, padding: [past.count, padding.rows, padding.columns],
      paddingAfter: [0, padding.rows, padding.columns], dilation: 1, groups: 1)
    convolution.see(past)
    return convolution.run(.identity, residual)
  }
}

/// What a causal convolution sees before the first frame of a part of a video.
public enum PastFrames: Sendable {
  /// The first frame, this many times.
  case firstRepeated(Int)
  /// The last frames of the part before, `[batch, channels, frames, height, width]`.
  case frames(Tensor)

  var count: Int {
    switch self {
    case .firstRepeated(let count): count
    case .frames(let frames): frames.rank == 5 ? frames.shape[2] : 0
    }
  }
}

/// A checked convolution, with its axes filled up to three.
private struct Convolution {
  let x, weight: Tensor
  let bias: Tensor?
  let axes: Int
  let name: String
  var arguments = ck_conv_args()
  let outputShape: [Int]
  /// Kept as long as the kernel reads it.
  private var past: Tensor?

  init(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, axes: Int, stride: PerAxis, padding: PerAxis,
    paddingAfter: PerAxis?, dilation: PerAxis, groups: Int
  ) {
    let name = "conv\(axes)d"
    Self.requireFit(x, weight, bias, axes, groups, name)
    let stride = stride.expanded(axes, minimum: 1, "\(name): stride")
    let dilation = dilation.expanded(axes, minimum: 1, "\(name): dilation")
    let before = padding.expanded(axes, minimum: 0, "\(name): padding")
    let after = (paddingAfter ?? padding).expanded(axes, minimum: 0, "\(name): paddingAfter")
    let size = Array(x.shape.suffix(axes)), kernel = Array(weight.shape.suffix(axes))
    let output = (0..<axes).map { axis in
      let span = (kernel[axis] - 1) * dilation[axis] + 1, room = size[axis] + before[axis] + after[axis]
      guard kernel[axis] > 0, room >= span else {
        tensorFailure("\(name): kernel \(weight.shape), dilated, is larger than the padded input \(x.shape)")
      }
      return (room - span) / stride[axis] + 1
    }
    self.name = name
    self.axes = axes
    outputShape = [x.shape[0], weight.shape[0]] + output
    self.x = x.converted(to: .f32).aligned()
    self.weight = weight.forProduct().contiguous()
    self.bias = bias?.converted(to: .f32).aligned()
    arguments.batch = x.shape[0]
    arguments.groups = groups
    arguments.in_channels = x.shape[1]
    arguments.out_channels = weight.shape[0]
    arguments.in_size = Self.triple(size, fill: 1)
    arguments.out_size = Self.triple(output, fill: 1)
    arguments.kernel = Self.triple(kernel, fill: 1)
    arguments.stride = Self.triple(stride, fill: 1)
    arguments.dilation = Self.triple(dilation, fill: 1)
    arguments.padding_before = Self.triple(before, fill: 0)
  }

  mutating func see(_ frames: PastFrames) {
    switch frames {
    case .firstRepeated: arguments.repeats_first = true
    case .frames(let frames):
      guard frames.rank == 5, frames.shape[0...1] == x.shape[0...1],
        frames.shape[3...] == x.shape[3...]
      else { tensorFailure("\(name): past frames \(frames.shape) do not fit the input \(x.shape)") }
      past = frames.converted(to: .f32).aligned()
    }
  }

  func run(_ activation: Activation, _ residual: Tensor?) -> Tensor {
    if let residual, residual.shape != outputShape {
      tensorFailure("\(name): residual \(residual.shape) does not have the result's shape \(outputShape)")
    }
    let residual = residual?.converted(to: .f32).aligned()
    var result = Tensor(uninitialized: outputShape)
    guard result.count > 0 else { return result }
    var arguments = arguments
    arguments.y = result.freshPointer(as: Float.self)
    withExtendedLifetime((x, weight, bias, residual, past)) {
      arguments.front = past?.rawPointer.assumingMemoryBound(to: Float.self)
      arguments.x = x.rawPointer.assumingMemoryBound(to: Float.self)
      arguments.weight = weight.rawPointer
      arguments.weight_type = weight.dtype.productType
      arguments.bias = bias?.rawPointer.assumingMemoryBound(to: Float.self)
      arguments.residual = residual?.rawPointer.assumingMemoryBound(to: Float.self)
      arguments.activation = activation.code
      arguments.may_round = ComputePrecision.current != .float
      guard ck_conv(Kernels.current.table, &arguments) else { tensorFailure("\(name): no memory for packed panels") }
    }
    return result
  }

  private static func requireFit(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ axes: Int, _ groups: Int, _ name: String
  ) {
    guard x.rank == axes + 2, weight.rank == axes + 2 else {
      tensorFailure("\(name): input \(x.shape) and weight \(weight.shape) must both have \(axes + 2) axes")
    }
    guard groups > 0, weight.shape[0] % groups == 0, x.shape[1] == weight.shape[1] * groups else {
      tensorFailure("\(name): input \(x.shape) does not fit weight \(weight.shape) in \(groups) groups")
    }
    if let bias, bias.shape != [weight.shape[0]] {
      tensorFailure("\(name): bias \(bias.shape) does not fit weight \(weight.shape)")
    }
  }

  /// Depth, height and width; the missing leading ones are `fill`.
  private static func triple(_ values: [Int], fill: Int) -> (Int, Int, Int) {
    let padded = [Int](repeating: fill, count: 3 - values.count) + values
    return (padded[0], padded[1], padded[2])
  }
}
