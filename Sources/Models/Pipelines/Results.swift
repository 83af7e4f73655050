import NN
import Tensor

/// Where a run is, after every step.
public struct GenerationStep: Sendable {
  /// Steps done and steps in all.
  public let done, total: Int
  public let level: NoiseLevel
  /// All that is needed to go on from here.
  public let state: GenerationState
  /// Latents after this step, as the transformer takes them; of a pass over an existing picture, those it was shown.
  public var latents: Tensor { state.latents }
  /// Latents that this step started from.
  public let before: Tensor
  /// What the sampler stepped with (the velocity, the noise), guidance included; nil where nothing is predicted, in a pass
  /// over an existing picture.
  public var prediction: Tensor?
  var toClean: (@Sendable () -> Tensor)?

  /// The clean latents that the prediction stands for, x̂₀; computed when asked for.
  public var clean: Tensor? { toClean?() }
}

/// Where a generation stands between two steps: with the same plan it goes on from here to the same bits.
public struct GenerationState: Sendable {
  /// Of those that the plan takes.
  public var stepsDone: Int
  /// As the transformer takes them.
  public var latents: Tensor
  /// Times that noise was drawn.
  public var draws: Int
  /// What the sampler remembers.
  public var memory: [String: Tensor]

  public init(stepsDone: Int, latents: Tensor, draws: Int, memory: [String: Tensor]) {
    self.stepsDone = stepsDone
    self.latents = latents
    self.draws = draws
    self.memory = memory
  }
}

public struct GenerationResult: Sendable {
  /// `[batch, frames, 3, height, width]` in 0 … 1.
  public let frames: Tensor
  /// How often processors were called, by site.
  public let fired: [Site: Int]
  public let seconds: PhaseSeconds
  /// nil without a block cache.
  public let blocks: BlockCount?

  /// Blocks of the transformer, of all passes.
  public struct BlockCount: Sendable, Equatable {
    public var all, skipped: Int
  }

  public init(
    frames: Tensor, fired: [Site: Int] = [:], seconds: PhaseSeconds = .init(), blocks: BlockCount? = nil
  ) {
    self.frames = frames
    self.fired = fired
    self.seconds = seconds
    self.blocks = blocks
  }

  /// One picture, or one frame of a video, as bytes, `[height, width, 3]`.
  public func image(_ index: Int = 0, frame: Int = 0) -> Tensor { Self.bytes(frames[index, frame]) }

  /// One picture or video as bytes, `[frames, height, width, 3]`.
  public func video(_ index: Int = 0) -> Tensor {
    stacked((0..<frames.shape[1]).map { image(index, frame: $0) })
  }

  private static func bytes(_ frame: Tensor) -> Tensor {
    (frame.permuted(1, 2, 0) * 255).rounded().clamped(min: 0, max: 255).converted(to: .u8)
  }
}

/// What is to tell of a run that only looked.
public struct InspectionResult: Sendable {
  /// How often processors were called, by site.
  public let fired: [Site: Int]
  public let seconds: PhaseSeconds
}
