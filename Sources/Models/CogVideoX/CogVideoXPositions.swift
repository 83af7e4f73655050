import NN
import Tensor

/// Where the tokens of one size of video are, as the model is told: made once per run.
public struct CogVideoXPositions: Sendable {
  /// Turns queries and keys of video tokens (5B, 1.5).
  public var rotary: RotaryTable?
  /// Added to the video tokens, `[tokens, dim]` (2B, and 5B image-to-video).
  public var added: Tensor?
  /// Added to the text tokens, `[maxTextSequenceLength, dim]`, where positions are learned.
  public var text: Tensor?

  public init(rotary: RotaryTable? = nil, added: Tensor? = nil, text: Tensor? = nil) {
    self.rotary = rotary
    self.added = added
    self.text = text
  }
}

extension CogVideoXTransformer {
  /// How the tokens of latents tile a video.
  ///
  /// - Parameters: frames, rows and columns of latents
  public func grid(frames: Int, height: Int, width: Int) -> TokenGrid {
    TokenGrid(
      frames: frames / (config.temporalPatchSize ?? 1), height: height / config.patchSize,
      width: width / config.patchSize)
  }

  /// Positions for latents of this many frames, rows and columns.
  ///
  /// Source: diffusers `CogVideoXPatchEmbed._get_positional_embeddings`,
  /// `CogVideoXPipeline._prepare_rotary_positional_embeddings`.
  public func positions(frames: Int, height: Int, width: Int) -> CogVideoXPositions {
    let grid = grid(frames: frames, height: height, width: width)
    var positions = CogVideoXPositions()
    if config.usesRotary { positions.rotary = rotary(grid) }
    // The learned table is for one size. Of other lengths the reference has sines and cosines take its place; it compares
    // frames of video, so that a length that is not 4 n + 1 is none that a video can have.
    let videoFrames = (frames - 1) * config.temporalCompressionRatio + 1
    let isSample =
      height == config.sampleHeight && width == config.sampleWidth && videoFrames == config.sampleFrames
    if let learnedPositions, isSample {
      let table = learnedPositions.squeezed(0).converted(to: .f32), text = config.maxTextSequenceLength
      positions.text = table.narrow(0, from: 0, count: text)
      positions.added = table.narrow(0, from: text, count: grid.count)
    } else if config.positions != .rotary {
      positions.added = sinCosPositions3D(
        dim: config.dim, height: grid.height, width: grid.width, frames: grid.frames,
        spatialScale: config.spatialInterpolationScale, temporalScale: config.temporalInterpolationScale
      ).flattened(from: 0, to: 1)
    }
    return positions
  }

  private func rotary(_ grid: TokenGrid) -> RotaryTable {
    .cogVideoX(
      headDim: config.attentionHeadDim, frames: grid.frames, height: grid.height, width: grid.width,
      grid: config.temporalPatchSize == nil ? cropped(grid) : .slice)
  }

  /// The largest crop of the base grid that has the sides' ratio.
  ///
  /// Source: diffusers `get_resize_crop_region_for_grid`, which rounds halves to even numbers.
  private func cropped(_ grid: TokenGrid) -> RotaryTable.CogVideoXGrid {
    func rounded(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }
    let baseHeight = config.sampleHeight / config.patchSize, baseWidth = config.sampleWidth / config.patchSize
    var height = baseHeight, width = baseWidth
    if Double(grid.height) / Double(grid.width) > Double(baseHeight) / Double(baseWidth) {
      width = rounded(Double(baseHeight) / Double(grid.height) * Double(grid.width))
    } else {
      height = rounded(Double(baseWidth) / Double(grid.width) * Double(grid.height))
    }
    let top = rounded(Double(baseHeight - height) / 2), left = rounded(Double(baseWidth - width) / 2)
    return .linspace(
      top: Float(top), left: Float(left), bottom: Float(top + height), right: Float(left + width))
  }
}
