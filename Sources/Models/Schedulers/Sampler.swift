import Tensor

/// Where a pass stands between noise and picture.
public struct NoiseLevel: Sendable, Hashable, Codable {
  /// The share of noise in the latents, 0 … 1.
  public var sigma: Float
  /// What the model is told, 0 … 1000.
  public var timestep: Float
  /// Position in the schedule, from 0, and its length.
  public var step, steps: Int

  public init(sigma: Float, timestep: Float, step: Int, steps: Int) {
    self.sigma = sigma
    self.timestep = timestep
    self.step = step
    self.steps = steps
  }
}

/// Takes latents from noise to picture, step by step, by what the model predicts: the schedule and the solver of one run.
public protocol Sampler: Sendable {
  /// One per step, noisiest first.
  var levels: [NoiseLevel] { get }

  /// A noise level of one's own, beside the schedule's, for a pass over an existing picture.
  ///
  /// - Parameters:
  ///   - sigma: above 0 and at most 1
  ///   - step: what processors are told, and of how many
  func level(sigma: Float, step: Int, of steps: Int) -> NoiseLevel

  /// Clean latents with noise mixed in.
  func noised(_ clean: Tensor, noise: Tensor, at level: NoiseLevel) -> Tensor

  /// The clean latents that a prediction at step `index` stands for.
  func predictedClean(_ latents: Tensor, output: Tensor, at index: Int) -> Tensor

  /// The latents after step `index`. A solver of several steps remembers what it needs of the step before.
  ///
  /// - Parameters:
  ///   - output: what the model gave for `latents`, in their shape
  ///   - noise: draws standard normal latents, for samplers that add noise
  mutating func step(_ latents: Tensor, output: Tensor, at index: Int, noise: () -> Tensor) -> Tensor

  /// What it remembers of the steps so far, to go on in another process.
  var memory: [String: Tensor] { get }

  /// - Throws: `SchedulerError` for a memory that is not this sampler's
  mutating func recall(_ memory: [String: Tensor]) throws
}

extension Sampler {
  /// Of a solver that looks at one step alone.
  public var memory: [String: Tensor] { [:] }

  public mutating func recall(_ memory: [String: Tensor]) throws {
    if let name = memory.keys.min() {
      throw SchedulerError("memory", found: "'\(name)'", expected: "none: the sampler remembers nothing")
    }
  }
}

extension FlowMatchSchedule: Sampler {
  public var levels: [NoiseLevel] {
    (0..<steps).map { NoiseLevel(sigma: sigmas[$0], timestep: timesteps[$0], step: $0, steps: steps) }
  }

  public func level(sigma: Float, step: Int, of steps: Int) -> NoiseLevel {
    NoiseLevel(sigma: sigma, timestep: sigma * Float(trainTimesteps), step: step, steps: steps)
  }

  public func noised(_ clean: Tensor, noise: Tensor, at level: NoiseLevel) -> Tensor {
    noise * level.sigma + clean * (1 - level.sigma)
  }

  public func predictedClean(_ latents: Tensor, output: Tensor, at index: Int) -> Tensor {
    latents - output * sigmas[index]
  }

  public func step(_ latents: Tensor, output: Tensor, at index: Int, noise: () -> Tensor) -> Tensor {
    step(latents, velocity: output, index: index)
  }
}
