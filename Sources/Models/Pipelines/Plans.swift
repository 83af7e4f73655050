import NN
import Tensor

/// A generation in which everything is decided: what runs, and what `metadata.json` records.
public struct GenerationPlan: Sendable {
  public let prompts: [String]
  public let size: FrameSize
  /// How the image tokens tile the picture or video.
  public let grid: TokenGrid
  public let steps: Int
  /// Above 0 when a run starts from a picture.
  public let firstStep: Int
  /// The noise that the steps from `firstStep` on start from.
  public let levels: [NoiseLevel]
  public let guidance: Guidance
  public let seeds: Seeds
  public let maxSequenceLength: Int
  /// How many of CLIP's last layers the prompt leaves out, beyond the one that is always left out.
  public let clipSkip: Int
  public let noiseType: DType
  /// nil to start from noise alone.
  public let startingImage: StartingImage?
  /// Noise to start from, as the transformer takes latents; nil for the seeds'.
  public let latents: Tensor?
  /// In place of what the text encoders make of the prompts; nil for theirs.
  public var encodedPrompts, encodedNegative: EncodedPrompts?
  /// The threshold of first-block caching; nil to compute every block.
  public var blockCache: Float?

  /// Where noise comes from.
  public enum Seeds: Sendable, Equatable {
    /// One generator draws for all pictures.
    case shared(UInt64)
    /// A generator per picture.
    case each([UInt64])
  }

  /// Every pass of the run.
  package var passes: [Pass] {
    levels.flatMap { level in
      branches(at: level.step).map { Pass(level, branch: $0, grid: grid, batch: prompts.count) }
    }
  }

  /// The passes of a step.
  func branches(at step: Int) -> [Pass.Branch] {
    guard guidance.classifierFree != nil else { return [.conditional] }
    let skips = guidance.skipLayers?.acts(at: step, of: steps) ?? false
    return [.conditional, .unconditional] + (skips ? [.skippingLayers] : [])
  }
}

extension GenerationPlan: Encodable {
  private enum CodingKeys: String, CodingKey {
    case prompts, frames, height, width, steps, firstStep, noiseLevels, guidance, seeds, maxSequenceLength, clipSkip
    case noiseType, strength, blockCache
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(prompts, forKey: .prompts)
    try values.encode(size.frames, forKey: .frames)
    try values.encode(size.height, forKey: .height)
    try values.encode(size.width, forKey: .width)
    try values.encode(steps, forKey: .steps)
    try values.encode(firstStep, forKey: .firstStep)
    try values.encode(levels.map(\.sigma), forKey: .noiseLevels)
    try values.encode(guidance, forKey: .guidance)
    switch seeds {
    case .shared(let seed): try values.encode([seed], forKey: .seeds)
    case .each(let seeds): try values.encode(seeds, forKey: .seeds)
    }
    try values.encode(maxSequenceLength, forKey: .maxSequenceLength)
    try values.encode(clipSkip, forKey: .clipSkip)
    try values.encode(noiseType.rawValue, forKey: .noiseType)
    try values.encodeIfPresent(startingImage?.strength, forKey: .strength)
    try values.encodeIfPresent(blockCache, forKey: .blockCache)
  }
}

/// Passes over an existing picture or video in which everything is decided.
public struct InspectionPlan: Sendable {
  /// `[frames, height, width, 3]`, `u8`, of `size`.
  public let frames: Tensor
  public let prompt: String
  public let size: FrameSize
  public let grid: TokenGrid
  /// One pass each per draw of noise.
  public let levels: [NoiseLevel]
  public let samples: Int
  public let seed: UInt64
  /// What a guidance-distilled model is told; nil for a model that is told nothing.
  public let distilledGuidance: Float?
  public let zeroesPooledText: Bool
  public let maxSequenceLength: Int
  public let noiseType: DType
  public let drawsPackedNoise: Bool

  package var passes: [Pass] { levels.map { Pass($0, branch: .conditional, grid: grid, batch: 1) } }
}

extension InspectionPlan: Encodable {
  private enum CodingKeys: String, CodingKey {
    case prompt, frames, height, width, steps, noiseLevels, samples, seed, guidance, zeroesPooledText
    case maxSequenceLength, noiseType, drawsPackedNoise
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(prompt, forKey: .prompt)
    try values.encode(size.frames, forKey: .frames)
    try values.encode(size.height, forKey: .height)
    try values.encode(size.width, forKey: .width)
    try values.encode(levels.map(\.step), forKey: .steps)
    try values.encode(levels.map(\.sigma), forKey: .noiseLevels)
    try values.encode(samples, forKey: .samples)
    try values.encode(seed, forKey: .seed)
    try values.encode(Guidance(distilled: distilledGuidance), forKey: .guidance)
    try values.encode(zeroesPooledText, forKey: .zeroesPooledText)
    try values.encode(maxSequenceLength, forKey: .maxSequenceLength)
    try values.encode(noiseType.rawValue, forKey: .noiseType)
    try values.encode(drawsPackedNoise, forKey: .drawsPackedNoise)
  }
}

extension Pass {
  init(_ level: NoiseLevel, branch: Branch, grid: TokenGrid, batch: Int) {
    self.init(
      step: level.step, steps: level.steps, sigma: level.sigma, timestep: level.timestep, branch: branch, grid: grid,
      batch: batch)
  }
}
