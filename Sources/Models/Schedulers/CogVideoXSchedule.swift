// The noise schedule that both samplers of CogVideoX share.

import Glibc
import Tensor

/// How much signal is left at every training timestep of CogVideoX, and the timesteps of one run.
///
/// Source: diffusers `CogVideoXDDIMScheduler`, `CogVideoXDPMScheduler`; zero terminal signal-to-noise ratio: Lin et
/// al., arXiv 2305.08891.
public struct CogVideoXSchedule: Sendable {
  public let configuration: Configuration
  /// `[trainTimesteps]`: the cumulative product of the alphas, shifted and scaled to end with 0.
  public let alphasCumulative: [Double]
  /// The same before the first training step.
  public let finalAlphaCumulative: Double
  /// `[steps]`: the timesteps of the run, noisiest first.
  public let timesteps: [Int]
  /// The distance that the sampler takes two timesteps to have.
  private let stride: Int

  /// - Throws: `SchedulerError` for more steps than training timesteps and for options that are not built
  public init(_ configuration: Configuration, steps: Int) throws {
    try configuration.check()
    try SchedulerError.checkSteps(steps, atMost: configuration.trainTimesteps)
    self.configuration = configuration
    alphasCumulative = configuration.alphasCumulative()
    finalAlphaCumulative = configuration.setsAlphaToOne ? 1 : alphasCumulative[0]
    timesteps = try configuration.timesteps(steps)
    stride = configuration.trainTimesteps / steps
  }

  /// Clean latents with the noise of a training timestep: `sqrt(a) * clean + sqrt(1 - a) * noise`.
  public func noised(_ clean: Tensor, noise: Tensor, timestep: Int) -> Tensor {
    let alpha = Float(self.alpha(timestep))
    return clean * alpha.squareRoot() + noise * (1 - alpha).squareRoot()
  }

  func alpha(_ timestep: Int) -> Double {
    guard timestep < alphasCumulative.count else {
      tensorFailure("CogVideoXSchedule: timestep \(timestep) outside of \(alphasCumulative.count)")
    }
    return timestep < 0 ? finalAlphaCumulative : alphasCumulative[timestep]
  }

  /// The timestep that a step from `timestep` leads to; negative for the clean end.
  func next(_ timestep: Int) -> Int { timestep - stride }

  /// The clean latents that the model's output stands for.
  func predictedOriginal(_ sample: Tensor, output: Tensor, alpha: Double) -> Tensor {
    let (signal, noise) = (Float(alpha.squareRoot()), Float((1 - alpha).squareRoot()))
    switch configuration.prediction {
    case .velocity: return sample * signal - output * noise
    case .noise: return (sample - output * noise) / signal
    case .sample: return output
    }
  }
}

extension CogVideoXSchedule {
  /// The keys of `scheduler_config.json`; those that are absent have the reference's defaults. `clip_sample` is not
  /// among them: the reference does not clip either.
  public struct Configuration: Sendable, Equatable, Decodable {
    public enum Prediction: String, Sendable, Decodable {
      case velocity = "v_prediction"
      case noise = "epsilon"
      case sample
    }

    public enum Spacing: String, Sendable, Decodable { case linspace, leading, trailing }

    /// How the noise that training steps add grows from `betaStart` to `betaEnd`.
    public enum BetaSchedule: String, Sendable, Decodable {
      /// Its square root grows linearly.
      case scaledLinear = "scaled_linear"
      case linear
      /// What is left falls as a squared cosine does (arXiv 2102.09672), whatever `betaStart` and `betaEnd` are.
      case cosine = "squaredcos_cap_v2"
    }

    public var trainTimesteps = 1000
    public var betaStart = 0.00085
    public var betaEnd = 0.012
    public var prediction = Prediction.noise
    public var spacing = Spacing.leading
    public var stepsOffset = 0
    public var setsAlphaToOne = true
    public var rescalesToZeroTerminalSNR = false
    public var snrShiftScale = 3.0
    public var betaSchedule = BetaSchedule.scaledLinear
    /// The noise of every training step, in place of a schedule's.
    public var trainedBetas: [Double]?

    public init() {}

    private enum Keys: String, CodingKey {
      case trainTimesteps = "num_train_timesteps"
      case betaStart = "beta_start"
      case betaEnd = "beta_end"
      case betaSchedule = "beta_schedule"
      case trainedBetas = "trained_betas"
      case prediction = "prediction_type"
      case spacing = "timestep_spacing"
      case stepsOffset = "steps_offset"
      case setsAlphaToOne = "set_alpha_to_one"
      case rescalesToZeroTerminalSNR = "rescale_betas_zero_snr"
      case snrShiftScale = "snr_shift_scale"
    }

    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      func value<Value: Decodable>(_ key: Keys, _ standard: Value) throws -> Value {
        try values.decodeIfPresent(Value.self, forKey: key) ?? standard
      }
      trainTimesteps = try value(.trainTimesteps, trainTimesteps)
      betaStart = try value(.betaStart, betaStart)
      betaEnd = try value(.betaEnd, betaEnd)
      betaSchedule = try value(.betaSchedule, betaSchedule)
      trainedBetas = try values.decodeIfPresent([Double].self, forKey: .trainedBetas)
      prediction = try value(.prediction, prediction)
      spacing = try value(.spacing, spacing)
      stepsOffset = try value(.stepsOffset, stepsOffset)
      setsAlphaToOne = try value(.setsAlphaToOne, setsAlphaToOne)
      rescalesToZeroTerminalSNR = try value(.rescalesToZeroTerminalSNR, rescalesToZeroTerminalSNR)
      snrShiftScale = try value(.snrShiftScale, snrShiftScale)
    }

    func check() throws {
      guard (2...1_000_000).contains(trainTimesteps) else {
        throw SchedulerError("num_train_timesteps", found: "\(trainTimesteps)", expected: "2 to 1000000")
      }
      if let trainedBetas {
        guard trainedBetas.count == trainTimesteps, trainedBetas.allSatisfy({ $0 > 0 && $0 < 1 }) else {
          throw SchedulerError(
            "trained_betas", found: "a list of \(trainedBetas.count) numbers",
            expected: "\(trainTimesteps) between 0 and 1, one for each of num_train_timesteps")
        }
      }
      guard betaStart > 0, betaStart <= betaEnd, betaEnd < 1 else {
        throw SchedulerError("beta_start", found: "\(betaStart)", expected: "0 < beta_start <= beta_end < 1")
      }
      guard snrShiftScale > 0, snrShiftScale.isFinite else {
        throw SchedulerError("snr_shift_scale", found: "\(snrShiftScale)", expected: "a positive number")
      }
      guard (0..<trainTimesteps).contains(stepsOffset) else {
        throw SchedulerError("steps_offset", found: "\(stepsOffset)", expected: "0 to \(trainTimesteps - 1)")
      }
    }

    /// The reference computes in double precision from the scaled linear schedule on, and in single precision from any other.
    fileprivate func alphasCumulative() -> [Double] {
      let isDouble = trainedBetas == nil && betaSchedule == .scaledLinear
      func rounded(_ value: Double) -> Double { isDouble ? value : Double(Float(value)) }
      var product = 1.0
      var alphas = betas().map { beta in
        product *= rounded(1 - rounded(beta))
        let alpha = rounded(product)
        return rounded(alpha / rounded(snrShiftScale + rounded((1 - snrShiftScale) * alpha)))
      }
      if rescalesToZeroTerminalSNR {
        let roots = alphas.map { rounded($0.squareRoot()) }
        let (first, last) = (roots[0], roots[trainTimesteps - 1])
        let factor = rounded(first / rounded(first - last))
        alphas = roots.map { root in
          let scaled = rounded(rounded(root - last) * factor)
          return rounded(scaled * scaled)
        }
      }
      return alphas
    }

    private func betas() -> [Double] {
      if let trainedBetas { return trainedBetas }
      switch betaSchedule {
      case .scaledLinear:
        return linearlySpaced(betaStart.squareRoot(), betaEnd.squareRoot(), count: trainTimesteps).map { $0 * $0 }
      case .linear: return linearlySpaced(betaStart, betaEnd, count: trainTimesteps)
      case .cosine:
        func left(_ step: Int) -> Double {
          let angle = cos((Double(step) / Double(trainTimesteps) + 0.008) / 1.008 * .pi / 2)
          return angle * angle
        }
        return (0..<trainTimesteps).map { min(1 - left($0 + 1) / left($0), 0.999) }
      }
    }

    fileprivate func timesteps(_ steps: Int) throws -> [Int] {
      let result: [Int]
      switch spacing {
      case .linspace:
        result = linearlySpaced(0, Double(trainTimesteps - 1), count: steps).reversed().map {
          Int($0.rounded(.toNearestOrEven))
        }
      case .leading:
        result = (0..<steps).reversed().map { $0 * (trainTimesteps / steps) + stepsOffset }
      case .trailing:
        let start = Double(trainTimesteps)
        let stride = start / Double(steps)
        // As `numpy.arange`, which takes its stride from the first two values. For some numbers of steps, such as 61, it
        // counts one value more, a timestep of -1 that no model was trained on: that one is left out.
        let delta = (start - stride) - start
        result = (0..<steps).map { Int((start + Double($0) * delta).rounded(.toNearestOrEven)) - 1 }
      }
      guard let first = result.first, let last = result.last, first < trainTimesteps, last >= 0 else {
        throw SchedulerError("steps", found: "\(steps)", expected: "timesteps from 0 to \(trainTimesteps - 1)")
      }
      return result
    }
  }
}
