import Tensor

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

  /// Which of a step's passes: those that guidance makes, and any that a processor asks for under a name of its own.
  public struct Branch: RawRepresentable, ExpressibleByStringLiteral, Sendable, Hashable {
    public let rawValue: String

    /// nil for a name that is not made of letters, digits, `-` and `_`.
    public init?(rawValue: String) {
      guard !rawValue.isEmpty, rawValue.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }) else {
        return nil
      }
      self.rawValue = rawValue
    }

    public init(stringLiteral name: StaticString) {
      guard let branch = Branch(rawValue: "\(name)") else {
        tensorFailure("Pass.Branch: '\(name)', expected letters, digits, - and _")
      }
      self = branch
    }

    /// With the prompt.
    public static let conditional: Branch = "conditional"
    /// With the negative (or empty) prompt of classifier-free guidance.
    public static let unconditional: Branch = "unconditional"
    /// With the prompt and some blocks skipped (skip-layer guidance).
    public static let skippingLayers: Branch = "skippingLayers"
    /// With the prompt and attention that processors make worse (`PerturbedAttention`).
    public static let perturbed: Branch = "perturbed"

    /// Those that a run makes of itself.
    static let native: Set<Branch> = [.conditional, .unconditional, .skippingLayers]
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
