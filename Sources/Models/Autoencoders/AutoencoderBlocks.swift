import NN
import Tensor

/// Two convolutions beside a skip connection.
///
/// Source: diffusers `ResnetBlock2D` without timestep.
struct ResnetBlock: Sendable {
  var norm1, norm2: GroupNorm
  var conv1, conv2: Conv2d
  var shortcut: Conv2d?

  init(_ inputs: Int, _ outputs: Int, groups: Int, _ w: Weights) {
    norm1 = GroupNorm(groups: groups, inputs, w["norm1"])
    conv1 = Conv2d(inputs, outputs, kernel: 3, padding: 1, w["conv1"])
    norm2 = GroupNorm(groups: groups, outputs, w["norm2"])
    conv2 = Conv2d(outputs, outputs, kernel: 3, padding: 1, w["conv2"])
    shortcut = inputs == outputs ? nil : Conv2d(inputs, outputs, kernel: 1, w["conv_shortcut"])
  }

  /// - Parameter x: `[batch, channels, height, width]`
  func callAsFunction(_ x: Tensor) -> Tensor {
    let hidden = conv1(norm1(x, silu: true))
    return conv2(norm2(hidden, silu: true), residual: shortcut?(x) ?? x)
  }
}

/// Attention of all positions among themselves, with one head as wide as the channels.
///
/// Source: diffusers `Attention` with `residual_connection`, as the middle block of `AutoencoderKL` uses it.
struct SpatialAttention: Sendable {
  var norm: GroupNorm
  var query, key, value, output: Linear

  init(_ channels: Int, groups: Int, _ w: Weights) {
    norm = GroupNorm(groups: groups, channels, w["group_norm"])
    query = Linear(channels, channels, w["to_q"])
    key = Linear(channels, channels, w["to_k"])
    value = Linear(channels, channels, w["to_v"])
    output = Linear(channels, channels, w["to_out"][0])
  }

  /// - Parameter x: `[batch, channels, height, width]`
  func callAsFunction(_ x: Tensor) -> Tensor {
    let tokens = norm(x).flattened(from: 2).transposed()  // [batch, positions, channels]
    let attended = attend(query(tokens), key(tokens), value(tokens))
    return x + output(attended).transposed().reshaped(x.shape)
  }

  /// The head is wider than the attention kernels go (512 channels), so queries are taken some rows at a time, with
  /// plain products between.
  private func attend(_ query: Tensor, _ key: Tensor, _ value: Tensor) -> Tensor {
    let positions = query.shape[1], rows = Self.rows(of: positions)
    let scale = 1 / Float(query.shape[2]).squareRoot(), keys = key.transposed()
    let parts = stride(from: 0, to: positions, by: rows).map { start in
      let some = query.narrow(1, from: start, count: min(rows, positions - start))
      return Tensor.matmul(Tensor.matmul(some * scale, keys).softmax(), value)
    }
    return parts.count == 1 ? parts[0] : concatenated(parts, axis: 1)
  }
}

extension SpatialAttention {
  /// Queries taken at once.
  private static func rows(of positions: Int) -> Int { max(64, min(positions, (16 << 20) / positions)) }

  /// What it holds at most: logits and probabilities of some rows, and its inputs and outputs.
  static func floats(positions: Int, channels: Int) -> Int {
    2 * positions * min(positions, rows(of: positions)) + 7 * positions * channels
  }
}

/// Resnet, attention, resnet.
struct MiddleBlock: Sendable {
  var first, second: ResnetBlock
  var attention: SpatialAttention?

  init(_ channels: Int, groups: Int, attention hasAttention: Bool, _ w: Weights) {
    first = ResnetBlock(channels, channels, groups: groups, w["resnets"][0])
    attention = hasAttention ? SpatialAttention(channels, groups: groups, w["attentions"][0]) : nil
    second = ResnetBlock(channels, channels, groups: groups, w["resnets"][1])
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let hidden = first(x)
    return second(attention?(hidden) ?? hidden)
  }
}

/// From pixels to the moments of the latents.
struct AutoencoderKLEncoder: Sendable {
  struct Level: Sendable {
    var resnets: [ResnetBlock]
    var downsampler: Conv2d?
  }

  var input: Conv2d
  var levels: [Level]
  var middle: MiddleBlock
  var outputNorm: GroupNorm
  var output: Conv2d

  init(_ config: AutoencoderKLConfig, _ w: Weights) {
    let channels = config.blockOutChannels, groups = config.normGroups
    input = Conv2d(config.inChannels, channels[0], kernel: 3, padding: 1, w["conv_in"])
    levels = channels.indices.map { level in
      let block = w["down_blocks"][level], inputs = channels[max(0, level - 1)]
      let resnets = (0..<config.layersPerBlock).map {
        ResnetBlock($0 == 0 ? inputs : channels[level], channels[level], groups: groups, block["resnets"][$0])
      }
      let last = level == channels.count - 1
      return Level(
        resnets: resnets,
        downsampler: last
          ? nil
          : Conv2d(
            channels[level], channels[level], kernel: 3, stride: 2, paddingAfter: 1, block["downsamplers"][0]["conv"]))
    }
    let top = channels[channels.count - 1]
    middle = MiddleBlock(top, groups: groups, attention: config.midBlockAddAttention, w["mid_block"])
    outputNorm = GroupNorm(groups: groups, top, w["conv_norm_out"])
    output = Conv2d(top, 2 * config.latentChannels, kernel: 3, padding: 1, w["conv_out"])
  }

  func callAsFunction(_ image: Tensor) -> Tensor {
    var x = input(image)
    for level in levels {
      for resnet in level.resnets { x = resnet(x) }
      if let downsampler = level.downsampler { x = downsampler(x) }
    }
    return output(outputNorm(middle(x), silu: true))
  }
}

/// Gives back the pool's blocks where a decoder goes on to larger tensors, of the size of `x`: those of other sizes would wait
/// in it, twice as much as the tensors themselves in the end. Small ones may.
func releaseOutgrown(by x: Tensor) {
  if Memory.cached > 16 << 20 { Memory.trim(keeping: x.byteCount) }
}

/// From latents to pixels.
struct AutoencoderKLDecoder: Sendable {
  struct Level: Sendable {
    var resnets: [ResnetBlock]
    var upsampler: Conv2d?
  }

  var input: Conv2d
  var middle: MiddleBlock
  var levels: [Level]
  var outputNorm: GroupNorm
  var output: Conv2d

  init(_ config: AutoencoderKLConfig, _ w: Weights) {
    let channels = Array(config.blockOutChannels.reversed()), groups = config.normGroups
    input = Conv2d(config.latentChannels, channels[0], kernel: 3, padding: 1, w["conv_in"])
    middle = MiddleBlock(channels[0], groups: groups, attention: config.midBlockAddAttention, w["mid_block"])
    levels = channels.indices.map { level in
      let block = w["up_blocks"][level], inputs = channels[max(0, level - 1)]
      let resnets = (0...config.layersPerBlock).map {
        ResnetBlock($0 == 0 ? inputs : channels[level], channels[level], groups: groups, block["resnets"][$0])
      }
      let last = level == channels.count - 1
      return Level(
        resnets: resnets,
        upsampler: last
          ? nil : Conv2d(channels[level], channels[level], kernel: 3, padding: 1, block["upsamplers"][0]["conv"]))
    }
    let bottom = channels[channels.count - 1]
    outputNorm = GroupNorm(groups: groups, bottom, w["conv_norm_out"])
    output = Conv2d(bottom, config.outChannels, kernel: 3, padding: 1, w["conv_out"])
  }

  func callAsFunction(_ latents: Tensor) -> Tensor {
    var x = middle(input(latents))
    for level in levels {
      releaseOutgrown(by: x)
      for resnet in level.resnets { x = resnet(x) }
      if let upsampler = level.upsampler { x = upsampler(doubled(x)) }
    }
    return output(outputNorm(x, silu: true))
  }

  /// Every pixel four times.
  private func doubled(_ x: Tensor) -> Tensor {
    let shape = x.shape
    return x.unsqueezed(3).unsqueezed(5).broadcast(to: [shape[0], shape[1], shape[2], 2, shape[3], 2])
      .reshaped([shape[0], shape[1], 2 * shape[2], 2 * shape[3]])
  }
}
