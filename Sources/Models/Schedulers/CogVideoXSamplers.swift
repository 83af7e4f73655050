// The two samplers of CogVideoX: DDIM (2B) and a stochastic second-order solver (5B).

import Glibc
import Tensor

/// Latents after a step, and the clean latents that the model sees in them.
public struct CogVideoXStep: Sendable {
  /// The latents at the next noise level, in the sample's shape.
  public let sample: Tensor
  /// The predicted clean latents, in the sample's shape.
  public let predictedOriginal: Tensor
}

/// Deterministic DDIM steps. Source: Song et al., arXiv 2010.02502, equation 12; diffusers `CogVideoXDDIMScheduler`.
public struct CogVideoXDDIMSampler: Sendable {
  public let schedule: CogVideoXSchedule

  public init(_ schedule: CogVideoXSchedule) { self.schedule = schedule }

  /// - Parameters:
  ///   - sample: the noisy latents
  ///   - output: the model's output for them at `timestep`, in their shape
  public func step(_ sample: Tensor, output: Tensor, timestep: Int) -> CogVideoXStep {
    let alpha = schedule.alpha(timestep)
    let next = schedule.alpha(schedule.next(timestep))
    let original = schedule.predictedOriginal(sample, output: output, alpha: alpha)
    let kept = ((1 - next) / (1 - alpha)).squareRoot()
    let added = next.squareRoot() - alpha.squareRoot() * kept
    return CogVideoXStep(sample: sample * Float(kept) + original * Float(added), predictedOriginal: original)
  }
}

/// Stochastic second-order steps, DPM-Solver++(2M) as an SDE. Source: Lu et al., arXiv 2211.01095; diffusers
/// `CogVideoXDPMScheduler`.
public struct CogVideoXDPMSampler: Sendable {
  public let schedule: CogVideoXSchedule

  public init(_ schedule: CogVideoXSchedule) { self.schedule = schedule }

  /// - Parameters:
  ///   - sample: the noisy latents
  ///   - output: the model's output for them at `timestep`, in their shape
  ///   - previous: the timestep and the predicted clean latents of the step before; nil for the first
  ///   - noise: draws standard normal latents in the sample's shape. Called twice in a second-order step, of which the
  ///     first draw is not used: the reference does so, and a seed must give its video.
  public func step(
    _ sample: Tensor, output: Tensor, timestep: Int, previous: (timestep: Int, original: Tensor)?,
    noise: () -> Tensor
  ) -> CogVideoXStep {
    let alpha = schedule.alpha(timestep)
    let next = schedule.alpha(schedule.next(timestep))
    let original = schedule.predictedOriginal(sample, output: output, alpha: alpha)
    let distance = Self.logSNR(next) - Self.logSNR(alpha)
    var target = original
    var drawn = noise()
    if let previous, schedule.next(timestep) >= 0 {
      let ratio = (Self.logSNR(alpha) - Self.logSNR(schedule.alpha(previous.timestep))) / distance
      target = original * Float(1 + 1 / (2 * ratio)) - previous.original * Float(1 / (2 * ratio))
      drawn = noise()
    }
    let kept = ((1 - next) / (1 - alpha)).squareRoot() * exp(-distance)
    let moved = expm1(-2 * distance) * next.squareRoot()
    let spread = (1 - next).squareRoot() * (1 - exp(-2 * distance)).squareRoot()
    let result = sample * Float(kept) - target * Float(moved) + drawn * Float(spread)
    return CogVideoXStep(sample: result, predictedOriginal: original)
  }

  /// Half the logarithm of the signal-to-noise ratio: infinite at both ends.
  private static func logSNR(_ alpha: Double) -> Double { log((alpha / (1 - alpha)).squareRoot()) }
}
