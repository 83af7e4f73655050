// The two halves of CogVideoX's video autoencoder, each for one part of a video at a time.

import NN
import Tensor

/// From pixels to the moments of the latents.
///
/// Source: diffusers `CogVideoXEncoder3D`.
struct CogVideoXEncoder: Sendable {
  struct Level: Sendable {
    var resnets: [CogVideoXResnetBlock]
    var downsampler: CogVideoXDownsampler?
  }

  var input: NamedCausalConv3d
  var levels: [Level]
  var middle: [CogVideoXResnetBlock]
  var outputNorm: CogVideoXNorm
  var output: NamedCausalConv3d

  init(_ config: AutoencoderKLCogVideoXConfig, _ w: Weights) {
    let channels = config.blockOutChannels, top = channels[channels.count - 1]
    input = NamedCausalConv3d(config.inChannels, channels[0], w["conv_in"])
    levels = channels.indices.map { level in
      let block = w["down_blocks"][level], inputs = channels[max(0, level - 1)]
      let resnets = (0..<config.layersPerBlock).map {
        CogVideoXResnetBlock(
          $0 == 0 ? inputs : channels[level], channels[level], config, latentChannels: nil, block["resnets"][$0])
      }
      if level == channels.count - 1 { return Level(resnets: resnets) }
      let downsampler = CogVideoXDownsampler(
        channels[level], halvesTime: level < config.temporalLevels, block["downsamplers"][0])
      return Level(resnets: resnets, downsampler: downsampler)
    }
    middle = (0..<2).map {
      CogVideoXResnetBlock(top, top, config, latentChannels: nil, w["mid_block"]["resnets"][$0])
    }
    outputNorm = CogVideoXNorm(top, groups: config.normGroups, eps: 1e-6, latentChannels: nil, w["norm_out"])
    output = NamedCausalConv3d(top, 2 * config.latentChannels, w["conv_out"])
  }

  func callAsFunction(_ video: Tensor, _ caches: inout CausalCaches) -> Tensor {
    var x = caches.convolve(input, video)
    for level in levels {
      for resnet in level.resnets { x = resnet(x, nil, &caches) }
      if let downsampler = level.downsampler { x = downsampler(x) }
    }
    for resnet in middle { x = resnet(x, nil, &caches) }
    return caches.convolve(output, outputNorm(x, nil))
  }
}

/// From latents to pixels.
///
/// Source: diffusers `CogVideoXDecoder3D`.
struct CogVideoXDecoder: Sendable {
  struct Level: Sendable {
    var resnets: [CogVideoXResnetBlock]
    var upsampler: CogVideoXUpsampler?
  }

  var input: NamedCausalConv3d
  var middle: [CogVideoXResnetBlock]
  var levels: [Level]
  var outputNorm: CogVideoXNorm
  var output: NamedCausalConv3d

  init(_ config: AutoencoderKLCogVideoXConfig, _ w: Weights) {
    let channels = Array(config.blockOutChannels.reversed()), bottom = channels[channels.count - 1]
    let latents = config.latentChannels
    input = NamedCausalConv3d(latents, channels[0], w["conv_in"])
    middle = (0..<2).map {
      CogVideoXResnetBlock(channels[0], channels[0], config, latentChannels: latents, w["mid_block"]["resnets"][$0])
    }
    levels = channels.indices.map { level in
      let block = w["up_blocks"][level], inputs = channels[max(0, level - 1)]
      let resnets = (0...config.layersPerBlock).map {
        CogVideoXResnetBlock(
          $0 == 0 ? inputs : channels[level], channels[level], config, latentChannels: latents, block["resnets"][$0])
      }
      if level == channels.count - 1 { return Level(resnets: resnets) }
      let upsampler = CogVideoXUpsampler(
        channels[level], doublesTime: level < config.temporalLevels, block["upsamplers"][0])
      return Level(resnets: resnets, upsampler: upsampler)
    }
    outputNorm = CogVideoXNorm(bottom, groups: config.normGroups, eps: 1e-6, latentChannels: latents, w["norm_out"])
    output = NamedCausalConv3d(bottom, config.outChannels, w["conv_out"])
  }

  func callAsFunction(_ latents: Tensor, _ caches: inout CausalCaches) -> Tensor {
    var x = caches.convolve(input, latents)
    for resnet in middle { x = resnet(x, latents, &caches) }
    for level in levels {
      releaseOutgrown(by: x)
      for resnet in level.resnets { x = resnet(x, latents, &caches) }
      if let upsampler = level.upsampler { x = upsampler(x) }
    }
    return caches.convolve(output, outputNorm(x, latents))
  }
}

/// Half of the rows and columns, and where told half of the frames.
///
/// Source: diffusers `CogVideoXDownsample3D`.
struct CogVideoXDownsampler: Sendable {
  var convolution: Conv3d
  var halvesTime: Bool

  init(_ channels: Int, halvesTime: Bool, _ w: Weights) {
    convolution = Conv3d(perFrame: channels, channels, kernel: 3, w["conv"])
    self.halvesTime = halvesTime
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    convolution(halvesTime ? halved(x) : x, stride: [1, 2, 2], paddingAfter: [0, 1, 1])
  }

  /// Neighbouring frames averaged; of an odd number the first stays what it is.
  private func halved(_ x: Tensor) -> Tensor {
    let frames = x.shape[2], first = frames % 2
    if frames == first { return x }
    let pairs = x.narrow(2, from: first, count: frames - first).unflattened(2, (frames - first) / 2, 2)
    let averaged = (pairs.select(3, 0) + pairs.select(3, 1)) * 0.5
    return first == 0 ? averaged : concatenated([x.narrow(2, from: 0, count: 1), averaged], axis: 2)
  }
}

/// Twice the rows and columns, and where told twice the frames.
///
/// Source: diffusers `CogVideoXUpsample3D`, which repeats frames before its convolution; the convolution sees them one by
/// one, so here its results are repeated.
struct CogVideoXUpsampler: Sendable {
  var convolution: Conv3d
  var doublesTime: Bool

  init(_ channels: Int, doublesTime: Bool, _ w: Weights) {
    convolution = Conv3d(perFrame: channels, channels, kernel: 3, w["conv"])
    self.doublesTime = doublesTime
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let wide = x.repeated("b c f h w -> b c f (h p) (w q)", ["p": 2, "q": 2])
    let y = convolution(wide, padding: [0, 1, 1])
    let frames = x.shape[2]
    guard doublesTime, frames > 1 else { return y }
    // Of an odd number of frames the first stays single.
    let order = frames % 2 == 1 ? [0] + (1..<frames).flatMap { [$0, $0] } : (0..<frames).flatMap { [$0, $0] }
    return y.take(2, Tensor(scalars: order.map { Int64($0) }))
  }
}
