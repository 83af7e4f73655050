import NN
import Tensor

/// What the causal convolutions of an encoder or decoder keep from one part of a video for the next.
struct CausalCaches {
  /// By the convolution's path among the weights.
  private var frames: [String: Tensor] = [:]
  /// No part follows the one that goes through: nothing is kept for it.
  var isLast = false

  mutating func convolve(_ layer: NamedCausalConv3d, _ x: Tensor, residual: Tensor? = nil) -> Tensor {
    layer.convolution(x, cache: &frames[layer.path], isLast: isLast, residual: residual)
  }
}

/// A causal convolution that knows where its cache is kept.
struct NamedCausalConv3d: Sendable {
  let path: String
  let convolution: CausalConv3d

  init(_ inputs: Int, _ outputs: Int, kernel: Int = 3, _ w: Weights) {
    path = w.path
    convolution = CausalConv3d(inputs, outputs, kernel: kernel, w)
  }
}

/// Group norm in the encoder; in the decoder scaled and shifted by what a 1 × 1 × 1 convolution sees in the latents.
///
/// Source: diffusers `CogVideoXSpatialNorm3D`, which interpolates the latents to the size of its input (arXiv
/// 2209.09002). Here they are convolved as they are: nearest-neighbour interpolation changes nothing but places.
struct CogVideoXNorm: Sendable {
  var norm: GroupNorm
  var scale, shift: CausalConv3d?

  init(_ channels: Int, groups: Int, eps: Float, latentChannels: Int?, _ w: Weights) {
    guard let latentChannels else {
      norm = GroupNorm(groups: groups, channels, eps: eps, w)
      return
    }
    norm = GroupNorm(groups: groups, channels, eps: 1e-6, w["norm_layer"])
    scale = CausalConv3d(latentChannels, channels, kernel: 1, w["conv_y"])
    shift = CausalConv3d(latentChannels, channels, kernel: 1, w["conv_b"])
  }

  /// The norm and the SiLU behind it.
  ///
  /// - Parameters:
  ///   - x: `[batch, channels, frames, height, width]`
  ///   - latents: those that are decoded
  func callAsFunction(_ x: Tensor, _ latents: Tensor?) -> Tensor {
    guard let latents, let scale, let shift else { return norm(x, silu: true) }
    var none: Tensor?  // kernels of one frame keep nothing
    let modulation = GroupModulation(
      scale: scale(latents, cache: &none), shift: shift(latents, cache: &none),
      frames: Self.coarseFrames(x.shape[2], of: latents.shape[2]))
    return x.groupNorm(
      groups: norm.groups, weight: norm.weight, bias: norm.bias, epsilon: norm.eps, modulation: modulation, silu: true)
  }

  /// The frame of latents that each frame takes: of an odd number, the first has one of its own.
  static func coarseFrames(_ count: Int, of latents: Int) -> [Int] {
    guard count > 1, count % 2 == 1 else { return (0..<count).map { $0 * latents / count } }
    // Of as many as four frames there are latents of one, even of three.
    return [0] + (0..<count - 1).map { min(1 + $0 * (latents - 1) / (count - 1), latents - 1) }
  }
}

/// Two convolutions around norms, with a shortcut.
///
/// Source: diffusers `CogVideoXResnetBlock3D`.
struct CogVideoXResnetBlock: Sendable {
  var norm1, norm2: CogVideoXNorm
  var conv1, conv2: NamedCausalConv3d
  var shortcut: Conv3d?

  init(_ inputs: Int, _ outputs: Int, _ config: AutoencoderKLCogVideoXConfig, latentChannels: Int?, _ w: Weights) {
    func norm(_ channels: Int, _ w: Weights) -> CogVideoXNorm {
      CogVideoXNorm(
        channels, groups: config.normGroups, eps: config.normEps, latentChannels: latentChannels, w)
    }
    norm1 = norm(inputs, w["norm1"])
    conv1 = NamedCausalConv3d(inputs, outputs, w["conv1"])
    norm2 = norm(outputs, w["norm2"])
    conv2 = NamedCausalConv3d(outputs, outputs, w["conv2"])
    shortcut = inputs == outputs ? nil : Conv3d(inputs, outputs, kernel: 1, w["conv_shortcut"])
  }

  func callAsFunction(_ x: Tensor, _ latents: Tensor?, _ caches: inout CausalCaches) -> Tensor {
    let hidden = caches.convolve(conv1, norm1(x, latents))
    return caches.convolve(conv2, norm2(hidden, latents), residual: shortcut?(x) ?? x)
  }
}
