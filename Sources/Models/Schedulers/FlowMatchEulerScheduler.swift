// The sampler of FLUX and Stable Diffusion 3: Euler steps along a straight flow from noise to picture.

import Glibc
import Tensor

/// Makes the noise levels of a run: evenly spaced, then shifted towards noise by a fixed factor (Stable Diffusion 3) or
/// by one that grows with the picture (FLUX.1-dev).
///
/// Source: Esser et al., arXiv 2403.03206, section 5.3.2; diffusers `FlowMatchEulerDiscreteScheduler`.
public struct FlowMatchEulerScheduler: Sendable {
  public let configuration: Configuration

  /// - Throws: `SchedulerError` for options that are not built: Karras, exponential and beta noise levels, inverted
  ///   levels and stochastic sampling
  public init(_ configuration: Configuration) throws {
    try configuration.check()
    self.configuration = configuration
  }

  /// The logarithm of the shift for a picture of so many tokens: on the line through (`baseImageSequenceLength`,
  /// `baseShift`) and (`maxImageSequenceLength`, `maxShift`). Source: diffusers `calculate_shift`.
  public func dynamicShift(imageTokens: Int) -> Double {
    let c = configuration
    let slope = (c.maxShift - c.baseShift) / Double(c.maxImageSequenceLength - c.baseImageSequenceLength)
    return Double(imageTokens) * slope + (c.baseShift - slope * Double(c.baseImageSequenceLength))
  }

  /// The schedule of a run, levels from the configuration's own range, as Stable Diffusion 3 asks for it.
  ///
  /// - Parameter dynamicShift: required where the configuration shifts dynamically, see ``dynamicShift(imageTokens:)``
  public func schedule(steps: Int, dynamicShift: Double? = nil) throws -> FlowMatchSchedule {
    try SchedulerError.checkSteps(steps, atMost: 100_000)
    let range = configuration.trainingRange
    let count = Double(configuration.trainTimesteps)
    let levels = linearlySpaced(range.highest * count, range.lowest * count, count: steps).map { $0 / count }
    let sigmas = try shifted(levels, dynamicShift).map { Float($0) }
    return FlowMatchSchedule(sigmas: sigmas + [0], trainTimesteps: configuration.trainTimesteps)
  }

  /// The schedule of a run through given noise levels before the shift, as FLUX asks for it; see
  /// ``evenLevels(steps:)``.
  public func schedule(sigmas: [Double], dynamicShift: Double? = nil) throws -> FlowMatchSchedule {
    guard !sigmas.isEmpty, sigmas.allSatisfy({ $0 > 0 && $0 <= 1 }) else {
      throw SchedulerError("sigmas", found: "\(sigmas)", expected: "noise levels above 0 and at most 1")
    }
    // The reference keeps given levels in single precision from here on.
    let shifted = try shifted(sigmas.map { Float($0) }, dynamicShift)
    return FlowMatchSchedule(sigmas: shifted + [0], trainTimesteps: configuration.trainTimesteps)
  }

  /// FLUX's noise levels: from 1 down to `1 / steps`.
  public static func evenLevels(steps: Int) -> [Double] {
    linearlySpaced(1, 1 / Double(max(1, steps)), count: steps)
  }

  private func shifted<Level: BinaryFloatingPoint>(_ levels: [Level], _ dynamicShift: Double?) throws -> [Level] {
    var result = levels
    if configuration.usesDynamicShifting {
      guard let dynamicShift else {
        throw SchedulerError("dynamicShift", found: "missing", expected: "a value, as use_dynamic_shifting is set")
      }
      let factor = Level(configuration.timeShift == .exponential ? exp(dynamicShift) : dynamicShift)
      result = levels.map { factor / (factor + (1 / $0 - 1)) }
    } else {
      let shift = Level(configuration.shift)
      result = levels.map { shift * $0 / (1 + (shift - 1) * $0) }
    }
    if let terminal = configuration.terminal, terminal != 0, let last = result.last {
      let scale = (1 - last) / Level(1 - terminal)
      result = result.map { 1 - (1 - $0) / scale }
    }
    // A shift that grows with the picture, or an end that is all noise, may leave the range of numbers.
    if let wrong = result.first(where: { !$0.isFinite }) {
      throw SchedulerError("sigmas", found: "\(wrong)", expected: "noise levels that are numbers")
    }
    return result
  }
}

/// The noise levels of one run.
public struct FlowMatchSchedule: Sendable, Equatable {
  /// `[steps + 1]`: the share of noise before each step and, at the end, after the last, which is 0.
  public let sigmas: [Float]
  /// `[steps]`: what the model is told, `sigma * trainTimesteps`.
  public let timesteps: [Float]
  /// What the model is told of pure noise.
  public let trainTimesteps: Int

  public init(sigmas: [Float], trainTimesteps: Int) {
    self.sigmas = sigmas
    self.trainTimesteps = trainTimesteps
    timesteps = sigmas.dropLast().map { $0 * Float(trainTimesteps) }
  }

  public var steps: Int { timesteps.count }

  /// One Euler step.
  ///
  /// - Parameters:
  ///   - velocity: the model's output for `sample` at `timesteps[index]`
  ///   - sample: the noisy latents, of the same shape
  /// - Returns: the latents at the next noise level
  public func step(_ sample: Tensor, velocity: Tensor, index: Int) -> Tensor {
    guard timesteps.indices.contains(index) else {
      tensorFailure("FlowMatchSchedule.step: index \(index) outside of \(steps) steps")
    }
    return sample + velocity * (sigmas[index + 1] - sigmas[index])
  }

  /// Clean latents with noise mixed in as it is before step `index`: where a picture is to be encoded or continued.
  public func noised(_ clean: Tensor, noise: Tensor, index: Int) -> Tensor {
    guard sigmas.indices.contains(index) else {
      tensorFailure("FlowMatchSchedule.noised: index \(index) outside of \(sigmas.count) noise levels")
    }
    return noise * sigmas[index] + clean * (1 - sigmas[index])
  }
}
