/// Which run through the transformer a processor is looking at.
public struct Pass: Sendable, Equatable {
  /// Position in the denoising schedule, from 0, and its length: also where an existing picture is looked at, at the
  /// noise levels of some of the schedule's steps.
  public var step: Int
  public var steps: Int
  /// Noise level the tokens carry, 0 … 1.
  public var sigma: Float
  /// What the model is told, in its own units (0 … 1000).
  public var timestep: Float
  public var branch: Branch
  /// How the image tokens tile the picture.
  public var grid: TokenGrid
  /// Pictures in the batch.
  public var batch: Int

  public init(
    step: Int = 0, steps: Int, sigma: Float = 1, timestep: Float = 1000, branch: Branch = .conditional,
    grid: TokenGrid, batch: Int = 1
  ) {
    self.step = step
    self.steps = steps
    self.sigma = sigma
    self.timestep = timestep
    self.branch = branch
    self.grid = grid
    self.batch = batch
  }

  public enum Branch: String, Sendable, Hashable {
    /// With the prompt.
    case conditional
    /// With the negative (or empty) prompt of classifier-free guidance.
    case unconditional
    /// With the prompt and some blocks skipped (skip-layer guidance).
    case skippingLayers
  }
}

/// Frames, rows and columns of image tokens, in the order the tokens lie.
public struct TokenGrid: Sendable, Hashable {
  public var frames, height, width: Int

  public init(frames: Int = 1, height: Int, width: Int) {
    self.frames = frames
    self.height = height
    self.width = width
  }

  /// Number of tokens.
  public var count: Int { frames * height * width }
}
